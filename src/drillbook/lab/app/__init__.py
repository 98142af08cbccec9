"""The sample application of the lab: a document API such as the one that the handbook is about.

Lives here: its routes, its backends, its metrics, and faults that it has on demand.
Lives elsewhere: starting it (`lab.programs`), its tables and content (`lab.schema`, `lab.seed`).
"""
