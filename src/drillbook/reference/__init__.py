"""The reference pages of docs/, made from the code, so that they cannot drift from it.

Lives here: pages of actions, probes, findings, errors and file formats, and the page of the handbook.
Lives elsewhere: pages that people write (top-level `docs/`).
"""
