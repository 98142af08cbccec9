"""A project: the folder that holds `drills/`, `inventory/`, `plugins/` and `reports/`, and access to its files by name.

Lives here: finding and loading drills, suites, inventories and runs of a project.
Lives elsewhere: creating a new project (`cli.scaffold`), the content of the files (`plan`, `inventory`).
"""
