"""The page of the handbook in docs/, and the record of the last run of each of its drills.

Lives here: the page, and the record from which the results on the page are rendered.
Lives elsewhere: the drills of the handbook (top-level `drills/handbook/`).
"""
