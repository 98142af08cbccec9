"""The project that a task works on, with the plugins of it that are trusted."""

from __future__ import annotations

from drillbook.project.project import Project


def here() -> Project:
    """The project of the current folder; see ``Project.here``. Raises UsageError, PluginError."""
    return _with_plugins(Project.here())


def of_runs() -> Project:
    """The project of the current folder, for what needs runs alone; see ``Project.of_runs``. Raises UsageError, PluginError."""
    return _with_plugins(Project.of_runs())


def _with_plugins(project: Project) -> Project:
    if (project.root / "plugins").is_dir():
        from drillbook.trust import plugins  # noqa: PLC0415  most projects have none

        plugins.use(project.root)
    return project
