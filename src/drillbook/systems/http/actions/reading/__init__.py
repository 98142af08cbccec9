"""Actions `http.*` that only send requests and read logs.

Lives here: single requests, sequences of requests, load, and the access log.
Lives elsewhere: the exchange of one request, and the parsers of logs (`systems.http`).
"""
