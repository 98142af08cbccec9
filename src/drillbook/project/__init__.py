"""A project: the folder that holds `drills/`, `inventory/`, `plugins/` and `reports/`, and what is in them by name.

Lives here: finding and loading drills, suites, inventories and runs of a project.
Lives elsewhere: making a new project (`cli.scaffold`), what is in the files (`plan`, `inventory`).
"""
