"""Access to the files of a project by name. A project is a folder that contains `drills/`, `inventory/`, `plugins/` and
`reports/`.

Lives here: finding and loading drills, suites, inventories and runs of a project.
Lives elsewhere: creating a new project (`cli.scaffold`), reading the content of drills and inventories (`plan`,
`inventory`).
"""
