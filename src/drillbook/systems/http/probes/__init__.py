"""Probes of HTTP services: availability (`http.*`) and content (`content.*`).

Lives here: requests whose answer or content is compared with an expected one, and the canary of an application.
Lives elsewhere: the exchange of one request (`systems.http.exchange`).
"""
