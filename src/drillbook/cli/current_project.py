"""Finds the project to which the current folder belongs, and loads the trusted plugins of this project."""

from __future__ import annotations

from pathlib import Path

from drillbook.errors import UsageError
from drillbook.project.project import Project
from drillbook.sdk import discovery


def here(*, spare: bool = False) -> Project:
    """Return the project that ``Project.here`` finds, with its plugins loaded. Raises UsageError when there is no project,
    and PluginError when a plugin cannot be used.

    When ``spare`` is true, plugins that cannot be used are skipped. Some tasks stop something or need no plugin. They set
    ``spare``, so that a plugin cannot block them.
    """
    if spare:
        discovery.spare()
    return _with_plugins(Project.here())


def of_runs() -> Project:
    """Return the project that ``Project.of_runs`` finds, with its plugins loaded. Tasks that recover or read runs call this
    function. Raises UsageError when there is no project.

    Plugins that cannot be used are skipped, so that they cannot block the recovery of runs.
    """
    discovery.spare()
    return _with_plugins(Project.of_runs())


def anywhere() -> None:
    """Load the plugins of the project to which the current folder belongs. Do nothing outside a project. Raises
    PluginError when a plugin cannot be used.
    """
    try:
        project = Project.here()
    except UsageError:
        return
    _with_plugins(project)


def load_plugins(root: Path) -> None:
    """Load the trusted plugins in the folder `plugins/` of ``root``, which need not be a project yet. Raises PluginError when a
    plugin cannot be used.
    """
    if (root / "plugins").is_dir():
        from drillbook.trust import plugins  # noqa: PLC0415  keeps start-up fast

        plugins.use(root.resolve())


def _with_plugins(project: Project) -> Project:
    load_plugins(project.root)
    return project
