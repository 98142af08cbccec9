"""The sample application of the lab: a document API, such as the handbook (docs/handbook.md) describes.

Lives here: its routes, its backends, its metrics, and its injectable faults.
Lives elsewhere: starting the application (`lab.programs`), the database tables and content (`lab.schema`, `lab.seed`).
"""
