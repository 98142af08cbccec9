"""Ground of the matrix: kills controllers on a lab, recovers their runs, and compares the lab with its state before."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from drillbook.cli.access import connect, redactor_for
from drillbook.cli.program import main
from drillbook.engine.open_hosts import Hosts
from drillbook.engine.recovery import Recovery
from drillbook.engine.step_context import Stage
from drillbook.errors import DrillbookError
from drillbook.journal.intents import intents
from drillbook.journal.journal import FILE, History, Journal, read
from drillbook.lab import control
from drillbook.lab.layout import BUCKETS
from drillbook.plan.planner import checked
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.sdk.action import Effect
from drillbook.sdk.host import Deadline
from tests.examples import drill_files
from tests.matrix import dying
from tests.matrix.picture import Camera, Picture
from tests.matrix.points import Point
from tests.matrix.programs import Ended, started

ROOT = Path(__file__).parents[2]
OWN = Path(__file__).parent / "drills"
DEATH_S, RECOVERY_S, SETTLE_S = 600.0, 600.0, 20.0


HANDBOOK = ("api-down", "cache-lost", "network-cut")
"""Drills of the handbook whose controllers are killed; the other drills inject the same faults as these and the
drills next to them.
"""


JOBS = {f"routine-{name}" for name in ("cache", "database", "shop", "vectors")}
"""Drills of a backup that a job of a team takes. The lab has no such job; `tests/e2e/test_routine_backups.py` and
`test_routine_vectors.py` run them, and kill one. The others use the same sandboxes as the drills `rehearse-*`.
"""


def drills() -> list[Path]:
    """Drill files whose controllers are killed."""
    own = [path for path in drill_files(ROOT / "drills", OWN) if path.stem not in JOBS]
    return own + [ROOT / "drills" / "handbook" / f"{name}.yml" for name in HANDBOOK]


def shipped() -> list[Path]:
    """Files of all shipped drills that run on the lab as they are."""
    return [path for path in drill_files(ROOT / "drills", ROOT / "drills" / "handbook") if path.stem not in JOBS]


def quicker(tree: Path) -> None:
    """Let a copy of the tree watch the tables for only a second, because no point of the matrix depends on its result."""
    text = tree.read_text(encoding="utf-8")
    assert text.count("watch: 5s") == 1, f"{tree} watches no longer"
    tree.write_text(text.replace("watch: 5s", "watch: 1s"), encoding="utf-8")


class Ground:
    """Project folder on the lab of the matrix, and a second project to which runs are moved."""

    def __init__(self, root: Path, lab: Path) -> None:
        self.root, self.lab = root / "first", lab
        self.elsewhere = root / "second"
        for folder in (self.root, self.elsewhere):
            (folder / "drills").mkdir(parents=True)
        shutil.copytree(ROOT / "inventory", self.root / "inventory")
        shutil.copytree(ROOT / "drills" / "diagnosis", self.root / "drills" / "diagnosis")
        quicker(self.root / "drills" / "diagnosis" / "postgres.yml")
        self.camera = Camera(lab)
        self.environment = {"DRILLBOOK_LAB": str(lab)}

    def close(self) -> None:
        """Close all files between two points."""

    def add(self, name: str, *, lease: str = "") -> Path:
        """Copy a drill into the project, with another lease if given. Return the path of the copy."""
        source = next(path for path in (*drills(), *shipped()) if path.stem == name)
        path = self.root / "drills" / source.name
        text = source.read_text(encoding="utf-8").replace("/LAB/", f"{self.lab}/")
        if lease:
            assert text.count("\nguard:\n") == 1, f"{source} has no guard to which a lease can be added"
            text = text.replace("\nguard:\n", f"\nguard:\n  lease: {lease}\n")
        path.write_text(text, encoding="utf-8")
        return path

    def die(self, drill: Path, point: Point | None) -> tuple[Path, Ended]:
        """Run a drill whose controller dies after ``point``. Return the run's folder."""
        words = [str(part) for part in point] if point else []
        ended = started(dying.main, [str(drill), *words], self.root, self.environment, DEATH_S)
        found = list(Project(self.root).runs())
        assert found, ended.output
        return found[-1], ended

    def recover(self, run: Path) -> Ended:
        """Recover a run with the program, in the project that contains its folder."""
        return started(main, ["drill.recover", run.name], run.parent.parent, self.environment, RECOVERY_S)

    def carried(self, run: Path) -> Path:
        """Move a run's folder into a project that has neither the drill nor the inventory."""
        reports = Project(self.elsewhere).ready_reports()
        return Path(shutil.move(run, reports / run.name))

    def forget(self, run: Path) -> None:
        """Delete a run and its backups, so that hundreds of them do not fill the disk."""
        store = self.camera.store
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKETS[0], Prefix=f"{run.name}/")
        for page in pages:
            for item in page.get("Contents", ()):
                store.delete_object(Bucket=BUCKETS[0], Key=item["Key"])
        shutil.rmtree(run)

    def rebuild(self) -> None:
        """Create a new lab, after a point that spoiled the old one."""
        control.down(self.lab)
        control.up(self.lab)
        self.camera = Camera(self.lab)

    def wrong(self, run: Path, before: Picture) -> list[str]:
        """Return all differences from the state before the run, after the services had time to settle."""
        until = time.monotonic() + SETTLE_S
        while True:
            found = self._wrong(run, before)
            if not found or time.monotonic() > until:
                return found
            time.sleep(0.1)

    def _wrong(self, run: Path, before: Picture) -> list[str]:
        ill = self.camera.ill()
        if ill:
            return [f"the lab does not serve: {ill}"]
        try:
            return [*before.differences(self.camera.take(before.newest)), *self.camera.strays(run.name)]
        except Exception as error:  # noqa: BLE001  any error of a driver is a failure of the drill
            return [f"the lab cannot be read: {type(error).__name__}: {error}"]


@contextmanager
def watching(run: Path, kinds: Collection[str] = ("commands", "action")) -> Iterator[Callable[[], list[str]]]:
    """Yields a function that returns the active faults of a run, by the proofs of their actions; ``kinds`` of undo to
    include.
    """
    history = read(run / FILE)
    plan = checked(history.events[0].data["plan"])
    found = [
        intent
        for intent in intents(history.events, plan.steps)
        if intent.effect is Effect.FAULT and intent.undo.kind in kinds
    ]
    hosts = Hosts(lambda name: connect(plan.inventory, name))
    stage = Stage(plan, _silent(run), hosts.get, run, {"id": run.name, "started": "", "operator": ""}, Redactor(()))

    def active() -> Iterator[str]:
        for intent in found:
            try:
                answer: object = intent.action().active(stage.context(intent.step.id, intent.host, Deadline.after(20)))
            except DrillbookError as error:
                answer = error
            if answer is not False:
                yield f"{intent.step.id} {intent.step.action} on {intent.host}: active is {answer}"

    try:
        yield lambda: list(active())
    finally:
        stage.journal.close()
        hosts.close()


def active_faults(run: Path) -> list[str]:
    """Faults of the run that can be undone and are active."""
    with watching(run) as active:
        return active()


def _silent(run: Path) -> Journal:
    """Second journal next to that of the run, for commands that only read."""
    folder = run / "looking"
    folder.mkdir(exist_ok=True)
    return Journal(folder, Redactor(()), origin=time.monotonic())


def again(run: Path) -> list[str]:
    """Changes made by a second recovery; there should be none."""
    before = (run / FILE).read_bytes()
    residue = Recovery(run, lambda plan, name: connect(plan.inventory, name), redactor_for, lambda event: None).run(
        {"operator": "matrix", "tool": "matrix"}
    )
    found = [f"a second recovery leaves {residue}"] if residue else []
    return found + (["a second recovery changed the journal"] if (run / FILE).read_bytes() != before else [])


def story(run: Path) -> History:
    """Journal of a run. Raises when its chain is broken."""
    return read(run / FILE)


def result(run: Path) -> dict[str, object]:
    """Errors in the reports of a run; an interrupted recovery has not written any."""
    path = run / "result.json"
    if not path.is_file():
        return {"verdict": "none: there is no result.json", "residue": "unknown"}
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def last_word(run: Path) -> str:
    """End of a run that should have been killed: its reason."""
    return "; ".join(str(event.data) for event in story(run).events if event.kind in ("ended.early", "failed"))[:1500]
