"""The reference pages of docs/, generated from the code so that they stay correct.

Lives here: pages of actions, probes, findings, errors and file formats, and the page of the handbook.
Lives elsewhere: hand-written pages (top-level `docs/`).
"""
