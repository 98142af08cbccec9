"""Probes of HTTP services: availability (`http.*`) and content (`content.*`)."""
