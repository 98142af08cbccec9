"""The import path `drillbook.tasks`, which the `tasks.py` of a project names; the tasks live in `drillbook.cli`."""

from drillbook.cli.tasks import main, namespace

__all__ = ["main", "namespace"]
