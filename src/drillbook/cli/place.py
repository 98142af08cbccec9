"""The project that a task works on, with the plugins of it that are trusted."""

from __future__ import annotations

from drillbook.errors import UsageError
from drillbook.project.project import Project
from drillbook.sdk import discovery


def here(*, spare: bool = False) -> Project:
    """The project of the current folder; see ``Project.here``. Raises UsageError, PluginError.

    With ``spare`` a plugin that cannot be used is left out, for what stops something, or needs no plugin.
    """
    if spare:
        discovery.spare()
    return _with_plugins(Project.here())


def of_runs() -> Project:
    """The project of the current folder, for what ends runs or reads them; see ``Project.of_runs``. Raises UsageError.

    A plugin that cannot be used is left out: it keeps nobody from putting back what another one broke.
    """
    discovery.spare()
    return _with_plugins(Project.of_runs())


def anywhere() -> None:
    """Know the plugins of the project of the current folder, if there is one. Raises PluginError."""
    try:
        project = Project.here()
    except UsageError:
        return
    _with_plugins(project)


def _with_plugins(project: Project) -> Project:
    if (project.root / "plugins").is_dir():
        from drillbook.trust import plugins  # noqa: PLC0415  most projects have none

        plugins.use(project.root)
    return project
