"""The handbook as drills: its page in docs/, and the record of how each drill of it last ended.

Lives here: the page and the record that it is rendered from.
Lives elsewhere: the drills of the handbook (top-level `drills/handbook/`).
"""
