"""Actions `http.*`. Each group of actions has a module of its own.

Lives here: single requests and sequences of requests, load, access logs, and a service that runs for one drill.
Lives elsewhere: the exchange of one request, and the parsers of logs (`systems.http`).
"""
