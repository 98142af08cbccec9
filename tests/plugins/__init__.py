"""A plugin from end to end: one system, in a distribution of its own and in a project's folder `plugins/`."""
