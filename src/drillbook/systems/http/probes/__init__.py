"""Probes of HTTP services: that they answer (`http.*`), and that they give the right content (`content.*`)."""
