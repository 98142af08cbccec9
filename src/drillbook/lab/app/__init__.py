"""The sample application of the lab. It is an API for documents, like the one in the handbook (docs/handbook.md).

Lives here: its routes, its backends, its metrics, and its injectable faults.
Lives elsewhere: starting the application (`lab.programs`), the database tables and content (`lab.schema`, `lab.seed`).
"""
