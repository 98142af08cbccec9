"""A project: the folder that holds ``drills/``, ``inventory/`` and ``reports/``, and what is in them by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drillbook.errors import UnknownName, UsageError
from drillbook.inventory import inventory
from drillbook.inventory.inventory import Inventory
from drillbook.journal import damaged
from drillbook.journal.damaged import RUN_ID
from drillbook.journal.journal import FILE
from drillbook.language.strict import did_you_mean
from drillbook.plan import spec
from drillbook.report.folders import drill_of
from drillbook.sdk import discovery


@dataclass(frozen=True, slots=True)
class Project:
    """A project folder."""

    root: Path

    @classmethod
    def here(cls) -> Project:
        """The project of the current folder, or of the nearest folder above that holds ``drills/``. Raises UsageError."""
        for folder in (Path.cwd(), *Path.cwd().parents):
            if (folder / "drills").is_dir():
                return cls(folder)
        raise UsageError(f"there is no folder `drills` in {Path.cwd()} or above it", hint="change to your project's folder")

    @classmethod
    def of_runs(cls) -> Project:
        """As ``here``, for what needs no more than ``reports/``: the nearest folder that holds runs counts as well.

        Raises UsageError.
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
            hint="change to the folder that holds `reports`",
        )

    @property
    def reports(self) -> Path:
        """The folder of all runs; it may be missing, see ``ready_reports``."""
        return self.root / "reports"

    def ready_reports(self) -> Path:
        """The folder of all runs, made when it is missing. Raises UsageError."""
        try:
            self.reports.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.reports} cannot be made: {error.strerror}; nothing was touched",
                hint=f"a run keeps its journal there: let {self.root} be written, or make the folder yourself",
            ) from None
        return self.reports

    @property
    def lab(self) -> Path:
        """The folder of this project's embedded lab."""
        from drillbook.lab import control  # noqa: PLC0415  the lab is an extra

        return control.default_folder(self.root)

    @property
    def docker_lab(self) -> Path:
        """The folder of this project's Docker lab."""
        from drillbook.lab.containers import layout  # noqa: PLC0415  the lab is an extra

        return layout.default_folder(self.root)

    def drill_names(self) -> dict[str, Path]:
        """Every drill and suite by name, also those that plugins ship; the project's own win."""
        return dict(sorted({**discovery.shipped("drills"), **spec.names_in(self.root / "drills")}.items()))

    def drill(self, name: str) -> spec.Drill | spec.Suite:
        """The drill or suite ``name``. Raises UnknownName, SpecError."""
        known = self.drill_names()
        if name not in known:
            raise UnknownName(
                f"there is no drill or suite {name!r} in {self.root / 'drills'}",
                hint=discovery.hint(f"{did_you_mean(name, known)}there are: {', '.join(known) or 'none'}"),
            )
        return spec.load(known[name], known=known)

    def inventory(self, name: str) -> Inventory:
        """The inventory ``name``: a file in ``inventory/``, or a path. Raises UnknownName, InventoryError."""
        path = Path(name) if name.endswith((".yml", ".yaml")) else self.root / "inventory" / f"{name}.yml"
        if not path.is_file():
            known = [found.stem for found in sorted((self.root / "inventory").glob("*.yml"))]
            raise UnknownName(
                f"there is no inventory {name!r}", hint=f"{did_you_mean(name, known)}there are: {', '.join(known) or 'none'}"
            )
        return inventory.load(path, lab=self._lab_value)

    def _lab_value(self, path: str) -> str | int:
        from drillbook.lab import control  # noqa: PLC0415  the lab is an extra
        from drillbook.lab.containers import layout  # noqa: PLC0415  keeps start-up fast

        if layout.PREFIX in path:  # also in `secrets.docker.NAME`
            return layout.lookup(self.docker_lab, path.replace(layout.PREFIX, "", 1))
        return control.lookup(self.lab, path)

    def runs(self) -> Iterator[Path]:
        """Folders of all runs of drills, oldest first, those inside suites too. Raises UsageError."""
        self.look_into_reports()
        found = [
            path.parent
            for path in _journals(self.reports)
            if not any((self.reports / part).is_symlink() for part in path.relative_to(self.reports).parents)
        ]
        yield from sorted(found, key=lambda folder: folder.name)

    def lost(self) -> list[Path]:
        """Folders of runs whose journal is gone, those inside suites too, oldest first; also empty ones. Raises UsageError."""
        self.look_into_reports()
        found: list[Path] = []
        for folder in _run_folders(self.reports):
            if (folder / FILE).exists():
                continue
            inner = list(_run_folders(folder))
            found += [one for one in inner if not (one / FILE).exists() and damaged.lost(one)]
            if not inner and not damaged.is_suite(folder) and damaged.lost(folder):
                found.append(folder)
        return sorted(found, key=lambda folder: folder.name)

    def look_into_reports(self) -> None:
        """Make sure that the folder of all runs can be looked into, or is not there. Raises UsageError."""
        try:
            with os.scandir(self.reports):
                pass
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UsageError(
                f"{self.reports} cannot be read: {error.strerror}", hint="it is the folder that holds a folder for each run"
            ) from None

    def run(self, name: str = "", *, suites: bool = False, lost: bool = False) -> Path:
        """The folder of one run. Raises UnknownName.

        ``name`` is a run, the beginning or a part of its name that no other has, a drill (its newest run), or
        ``latest``, which is also what an empty one means. With ``suites`` it may be a suite, or a run of one; with
        ``lost`` a run whose journal is gone.
        """
        known = [*self.runs(), *self.lost()] if lost else list(self.runs())
        found = {folder.name: folder for folder in known}
        latest = max(found, default="")
        if suites:
            found |= {folder.parent.name: folder.parent for folder in found.values() if folder.parent != self.reports}
            latest = max((run for run, folder in found.items() if folder.parent == self.reports), default="")
        if name and name not in found and any(folder.name == name for folder in self.lost()):
            raise UnknownName(f"the journal of {name} is gone", hint=f"see what is left of it: invoke report.verify {name}")
        if not found:
            raise UnknownName(
                f"there is no run {name!r} in {self.reports}" if name else f"there is no run in {self.reports} yet",
                hint="see `invoke drill.list`",
            )
        if name in ("", "latest"):
            return found[latest]
        if name in found:
            return found[name]
        if of_drill := [run for run in found if drill_of(run) == name]:
            return found[max(of_drill)]
        near = sorted(run for run in found if run.startswith(name)) or sorted(run for run in found if name in run)
        if len(near) == 1:
            return found[near[0]]
        newest = near[-5:] or sorted(found)[-5:]
        what = f"{len(near)} runs are named like {name!r}" if near else f"there is no run {name!r} in {self.reports}"
        raise UnknownName(what, hint=f"{'did you mean one of' if near else 'the newest are'}: {', '.join(reversed(newest))}")

    def runs_of(self, name: str, *, lost: bool = False) -> list[Path]:
        """The folders that ``name`` means, see ``run``: one, or for a suite those of its drills. Raises UnknownName."""
        folder = self.run(name, suites=bool(name), lost=lost)
        if lost and not (folder / FILE).exists():
            return damaged.drills_in(folder) or [folder]
        return [folder] if (folder / FILE).exists() else sorted(path.parent for path in folder.glob(f"[!.]*/{FILE}"))


def _journals(reports: Path) -> Iterator[Path]:
    return (path for pattern in (f"[!.]*/{FILE}", f"[!.]*/[!.]*/{FILE}") for path in reports.glob(pattern))


def _run_folders(folder: Path) -> Iterator[Path]:
    """Folders in ``folder`` that have the name of a run."""
    try:
        with os.scandir(folder) as found:
            names = [one.name for one in found if RUN_ID.fullmatch(one.name) and one.is_dir(follow_symlinks=False)]
    except OSError:
        names = []
    return (folder / name for name in names)
