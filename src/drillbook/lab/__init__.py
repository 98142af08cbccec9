"""The embedded lab: four small hosts with a database, a cache, an object store and an API. Its servers listen only on
loopback, and all its files are in one folder.

Lives here: starting and stopping labs, their programs, their sample content and the sample application.
Lives elsewhere: drills that use labs (top-level `drills/`), the tasks `lab.*` (`cli`).
"""
