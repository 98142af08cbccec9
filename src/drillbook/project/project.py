"""A project. It is a folder that contains ``drills/``, ``inventory/``, ``plugins/`` and ``reports/``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drillbook.errors import UnknownName, UsageError
from drillbook.journal import damaged
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState, RunStates
from drillbook.language.strict import did_you_mean
from drillbook.plan import drill_files
from drillbook.project import settled_runs
from drillbook.sdk import discovery
from drillbook.sdk.run_names import RUN_ID, drill_of

if TYPE_CHECKING:
    from drillbook.inventory.inventory import Inventory
    from drillbook.plan.spec import Drill, Suite

OUTSIDE = "change to your project's folder, or make a new project here: invoke init"
"""Hint shown when a task is called outside a project."""
NO_INVENTORY = (
    "`invoke init FOLDER` makes a new project with inventories that you can copy; `Writing an inventory` in the documentation "
    "describes the file"
)
"""Hint shown in a project without an inventory."""
FEW = 8
"""Largest number of names of drills that a hint lists."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project. ``root``: the folder of the project."""

    root: Path

    @classmethod
    def here(cls) -> Project:
        """Return the project to which the current folder belongs. A project is a folder that contains ``drills/``. The
        current folder is tried first, and then the folders above it. Raises UsageError when there is no such folder.
        """
        for folder in (Path.cwd(), *Path.cwd().parents):
            if (folder / "drills").is_dir():
                return cls(folder)
        raise UsageError(f"there is no folder `drills` in {Path.cwd()} or above it", hint=OUTSIDE)

    @classmethod
    def of_runs(cls) -> Project:
        """Return the project for tasks that need only ``reports/``. Raises UsageError when there is no project.

        The folder of the project is the working directory or a folder above it. The nearest folder with ``drills/`` or with
        runs is taken. If there is none, the nearest folder with ``reports/`` is taken.
        """
        around = (Path.cwd(), *Path.cwd().parents)
        for folder in around:
            if (folder / "drills").is_dir() or next(_journals(folder / "reports"), None):
                return cls(folder)
        for folder in around:
            if (folder / "reports").is_dir():
                return cls(folder)
        raise UsageError(
            f"there is no folder `reports` or `drills` in {Path.cwd()} or above it",
            hint=OUTSIDE,
        )

    @property
    def reports(self) -> Path:
        """Folder of all runs. It need not exist; ``ready_reports`` creates it."""
        return self.root / "reports"

    def ready_reports(self) -> Path:
        """Return the folder of all runs. If it is missing, create it. Raises UsageError when it cannot be created."""
        try:
            self.reports.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.reports} cannot be created: {error.strerror}; nothing was touched",
                hint=f"a run stores its journal there: make {self.root} writable, or create the folder",
            ) from None
        return self.reports

    @property
    def lab(self) -> Path:
        """Folder of this project's embedded lab."""
        from drillbook.lab import layout  # noqa: PLC0415  keeps start-up fast

        return layout.default_folder(self.root)

    @property
    def has_drills(self) -> bool:
        """True when the project has a folder ``drills/``. A copy of ``reports/``, such as an auditor has, has none."""
        return (self.root / "drills").is_dir()

    @property
    def docker_lab(self) -> Path:
        """Folder of this project's Docker lab."""
        from drillbook.lab.containers import layout  # noqa: PLC0415  keeps start-up fast

        return layout.default_folder(self.root)

    def drill_names(self) -> dict[str, Path]:
        """Find all drills and suites, including those of plugins. Return the path of each, with its name as the key. If the
        project and a plugin use the same name, the result contains the project's own file.
        """
        return dict(sorted({**discovery.shipped("drills"), **drill_files.names_in(self.root / "drills")}.items()))

    def drill(self, name: str) -> Drill | Suite:
        """Load the drill or suite ``name``. Raises UnknownName when no drill or suite has this name, and SpecError when
        its file is invalid.
        """
        from drillbook.plan import spec  # noqa: PLC0415  keeps start-up fast

        known = self.drill_names()
        if name not in known:
            raise UnknownName(
                f"there is no drill or suite {name!r} in {self.root / 'drills'}",
                hint=discovery.hint(f"{did_you_mean(name, known)}{names_hint(known)}"),
            )
        return spec.load(known[name], known=known)

    def inventory_name(self, given: str) -> str:
        """Return the name of the inventory to use: ``given``, or a default when ``given`` is empty. The default is ``lab``,
        or the project's only inventory. Raises UsageError when there are several inventories and none of them is ``lab``.
        """
        name = given or self.default_inventory()
        if not name:
            options = [f"`--inventory {shlex.quote(known)}`" for known in self.inventory_names()]
            raise UsageError(
                "this project has several inventories, and none of them is the default",
                hint=f"add {', '.join(options[:-1])} or {options[-1]}",
            )
        return name

    def default_inventory(self) -> str:
        """Return the name of the default inventory: ``lab``, or the project's only inventory. The name is empty when there
        are several inventories and none of them is ``lab``.
        """
        known = self.inventory_names()
        return known[0] if len(known) == 1 else "lab" if "lab" in known or not known else ""

    def inventory_names(self) -> list[str]:
        """Return the names of all inventories of this project."""
        return sorted(path.stem for path in (self.root / "inventory").glob("*.yml"))

    def inventory(self, name: str) -> Inventory:
        """Load an inventory. ``name``: name of a file in ``inventory/``, or a path. Raises UnknownName when the
        inventory does not exist, and InventoryError when it is invalid.
        """
        from drillbook.inventory import inventory  # noqa: PLC0415  keeps start-up fast

        return inventory.load(self.inventory_path(name), lab=self.lab_value)

    def inventory_path(self, name: str) -> Path:
        """Return the path of an inventory. ``name``: name of a file in ``inventory/``, or a path. Raises UnknownName
        when the inventory does not exist."""
        path = Path(name) if name.endswith((".yml", ".yaml")) else self.root / "inventory" / f"{name}.yml"
        if not path.is_file():
            known = self.inventory_names()
            if not known:
                raise UnknownName(f"this project has no inventory: {path.parent} contains none", hint=NO_INVENTORY)
            raise UnknownName(
                f"there is no inventory {name!r}",
                hint=f"{did_you_mean(name, known)}inventories: {', '.join(known) or 'none'}",
            )
        return path

    def lab_value(self, path: str) -> str | int:
        """Return the value of this project's lab with the name ``path``. Raises LabError when there is no such value."""
        from drillbook.lab import layout as embedded  # noqa: PLC0415  keeps start-up fast
        from drillbook.lab.containers import layout  # noqa: PLC0415  keeps start-up fast

        if layout.PREFIX in path:  # the prefix may also occur later in the path, as in `secrets.docker.NAME`
            return layout.lookup(self.docker_lab, path.replace(layout.PREFIX, "", 1))
        return embedded.lookup(self.lab, path)

    def runs(self) -> Iterator[Path]:
        """Return the folders of all runs of drills, including runs inside suites. The oldest run comes first. Raises
        UsageError when the folder of all runs cannot be read.
        """
        self.look_into_reports()
        folders = [
            path.parent
            for path in _journals(self.reports)
            if not any((self.reports / part).is_symlink() for part in path.relative_to(self.reports).parents)
        ]
        yield from sorted(folders, key=lambda folder: folder.name)

    def lost(self) -> list[Path]:
        """Return the folders of runs whose journal is missing. The oldest run comes first. Raises UsageError when the
        folder of all runs cannot be read.

        The result also contains empty folders, and folders of runs inside suites.
        """
        self.look_into_reports()
        folders = [lost for folder in _run_folders(self.reports) for lost in _lost_in(folder)]
        return sorted(folders, key=lambda folder: folder.name)

    def open_runs(self, states: RunStates | None = None, *, noting: bool = True) -> list[Path]:
        """Return the folders of runs that may have left changes, oldest first. Runs whose journal is missing are included.
        Raises UsageError when the folder of all runs cannot be read.

        An index lists the runs that left no changes, so each of these runs is read only once. The cost does not grow with their
        number. ``states``: states of runs that the task has already read. ``noting``: False if the index must not be written.
        """
        state_of = states.of if states else RunState
        self.look_into_reports()
        known, kept, folders = settled_runs.read(self.reports), {}, []
        for name in _names(self.reports):
            mark = settled_runs.mark_of(self.reports, name)
            if mark is None or known.get(name) != mark:
                folder = self.reports / name
                runs = [*_runs_in(folder), *(_lost_in(folder) if RUN_ID.fullmatch(name) else ())]
                unsettled = [run for run in runs if not state_of(run).settled]
                folders += unsettled
                mark = mark if runs and not unsettled else None
            if mark is not None:
                kept[name] = mark
        if noting and kept != known:
            settled_runs.write(self.reports, kept)
        return sorted(folders, key=lambda folder: folder.name)

    def look_into_reports(self) -> None:
        """Raise UsageError when the folder of all runs exists but cannot be read."""
        try:
            with os.scandir(self.reports):
                pass
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UsageError(
                f"{self.reports} cannot be read: {error.strerror}", hint="`reports` must be the folder of all runs"
            ) from None

    def run(self, name: str = "", *, suites: bool = False, lost: bool = False) -> Path:
        """Return the folder of one run. Raises UnknownName when ``name`` selects no run, or several.

        ``name``: name of a run, a unique part of this name, the name of a drill (which selects the drill's newest run), or
        ``latest``, which is the default. ``suites``: True if ``name`` may also select a suite. ``lost``: True if ``name``
        may also select a run whose journal is missing.
        """
        known = [*self.runs(), *self.lost()] if lost else list(self.runs())
        by_name = {folder.name: folder for folder in known}
        latest = max(by_name, default="")
        if suites:
            by_name |= {folder.parent.name: folder.parent for folder in by_name.values() if folder.parent != self.reports}
            latest = max((run for run, folder in by_name.items() if folder.parent == self.reports), default="")
        if name and name not in by_name and any(folder.name == name for folder in self.lost()):
            raise UnknownName(
                f"the journal of {name} no longer exists", hint=f"verify the remaining files: invoke report.verify {name}"
            )
        if not by_name:
            raise UnknownName(
                f"there is no run {name!r} in {self.reports}" if name else f"there is no run in {self.reports} yet",
                hint="see `invoke drill.list`",
            )
        if name in ("", "latest"):
            return by_name[latest]
        if name in by_name:
            return by_name[name]
        if of_drill := [run for run in by_name if drill_of(run) == name]:
            return by_name[max(of_drill)]
        near = sorted(run for run in by_name if run.startswith(name)) or sorted(run for run in by_name if name in run)
        if len(near) == 1:
            return by_name[near[0]]
        newest = near[-5:] or sorted(by_name)[-5:]
        what = f"{len(near)} runs match the name {name!r}" if near else f"there is no run {name!r} in {self.reports}"
        raise UnknownName(what, hint=f"{'did you mean one of' if near else 'the newest are'}: {', '.join(reversed(newest))}")

    def runs_of(self, name: str, *, lost: bool = False) -> list[Path]:
        """Return the folders of the runs that ``name`` selects, by the rules of ``run``. If ``name`` selects a suite,
        return the folders of the runs of its drills. Raises UnknownName when ``name`` selects no run.
        """
        folder = self.run(name, suites=bool(name), lost=lost)
        if lost and not (folder / FILE).exists():
            return damaged.drills_in(folder) or [folder]
        return [folder] if (folder / FILE).exists() else sorted(path.parent for path in folder.glob(f"[!.]*/{FILE}"))


def _journals(reports: Path) -> Iterator[Path]:
    return (path for pattern in (f"[!.]*/{FILE}", f"[!.]*/[!.]*/{FILE}") for path in reports.glob(pattern))


def _names(reports: Path) -> list[str]:
    """Names of the folders in ``reports`` that may hold runs. The result is empty when ``reports`` is missing."""
    try:
        with os.scandir(reports) as entries:
            return [
                entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []


def _runs_in(folder: Path) -> Iterator[Path]:
    """Folder of a run, or the folders of the runs inside the folder of a suite."""
    if (folder / FILE).exists():
        yield folder
    yield from (path.parent for path in folder.glob(f"[!.]*/{FILE}") if not path.parent.is_symlink())


def _lost_in(folder: Path) -> list[Path]:
    """Return the folders of runs without a journal. The result is ``folder`` itself or, for a suite, folders in it."""
    if (folder / FILE).exists():
        return []
    inner = list(_run_folders(folder))
    lost_runs = [path for path in inner if not (path / FILE).exists() and damaged.lost(path)]
    return [folder] if not inner and not damaged.is_suite(folder) and damaged.lost(folder) else lost_runs


def _run_folders(folder: Path) -> Iterator[Path]:
    """Return the subfolders of ``folder`` whose names have the form of a run's name."""
    return (folder / name for name in _names(folder) if RUN_ID.fullmatch(name))


def names_hint(names: Collection[str]) -> str:
    """Return a hint with the names of all drills and suites. If there are many, the hint is the command that lists them."""
    if len(names) > FEW:
        return f"`invoke drill.list --all` lists the {len(names)} drills and suites"
    return f"drills and suites: {', '.join(names) or 'none'}"
