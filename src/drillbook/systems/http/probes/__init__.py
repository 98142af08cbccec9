"""Probes of HTTP services: availability (`http.*`) and content (`content.*`).

Lives here: the probes that request a URL and check the status or the content of the answer, and the canary that writes
through an application's API.
Lives elsewhere: the exchange of one request (`systems.http.exchange`).
"""
