"""Finds the project around the current folder for a task, and loads the project's trusted plugins."""

from __future__ import annotations

from drillbook.errors import UsageError
from drillbook.project.project import Project
from drillbook.sdk import discovery


def here(*, spare: bool = False) -> Project:
    """Return the project of the current folder; see ``Project.here``. Raises UsageError, PluginError.

    With ``spare``, unusable plugins are skipped, for tasks that stop something or need no plugin.
    """
    if spare:
        discovery.spare()
    return _with_plugins(Project.here())


def of_runs() -> Project:
    """Return the project of the current folder, for tasks that end or read runs. Raises UsageError.

    See ``Project.of_runs``. Unusable plugins are skipped, so that they cannot block the recovery of runs.
    """
    discovery.spare()
    return _with_plugins(Project.of_runs())


def anywhere() -> None:
    """Load the plugins of the project around the current folder; outside a project, do nothing. Raises PluginError."""
    try:
        project = Project.here()
    except UsageError:
        return
    _with_plugins(project)


def _with_plugins(project: Project) -> Project:
    if (project.root / "plugins").is_dir():
        from drillbook.trust import plugins  # noqa: PLC0415  most projects have no plugins

        plugins.use(project.root)
    return project
