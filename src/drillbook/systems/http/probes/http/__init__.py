"""Probes `http.*`: availability of a URL, and a canary through an application's API.

Lives here: the probe that requests a URL, and the canary.
Lives elsewhere: the probe of content (`systems.http.probes.content`).
"""
