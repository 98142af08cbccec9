"""A plugin from end to end: one system, as an installed distribution and in a project's folder `plugins/`."""
