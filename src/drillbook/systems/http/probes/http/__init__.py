"""Probes `http.*`: availability of a URL, and a canary through an application's API."""
