"""Kills at random times: a controller, a recovery or a server is killed, and one recovery restores everything.

Each kill is a shot.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psycopg

from drillbook.cli.program import main
from drillbook.journal.journal import FILE
from drillbook.lab import supervision
from drillbook.lab.layout import ADDRESS, Lab
from drillbook.project.project import Project
from tests.matrix.ground import Ground, active_faults, again, result, story
from tests.matrix.picture import Picture
from tests.matrix.programs import Ended, Program
from tests.matrix.shots import RECOVERY_S, RESTORE_S, TYPICAL_S, Shot

SERVERS = {
    "postgres-lost": ("db-1", "postgresql"),
    "table-dropped": ("db-1", "postgresql"),
    "data-orphans": ("db-1", "postgresql"),
    "database-lost": ("db-1", "postgresql"),
    "full-drill": ("db-1", "postgresql"),
    "restore-newest": ("db-2", "postgresql"),
    "slow-query": ("db-1", "postgresql"),
    "cache-lost": ("store-1", "redis"),
    "vectors-diverged": ("store-1", "vectors"),
    "objects-deleted": ("store-1", "s3"),
    "object-corrupted": ("store-1", "s3"),
}
"""Server that the restore of a drill writes to: its host, and the name of its program there."""
ATTEMPTS = 12
RUN_S, BEGIN_S, LOOK_S = 300.0, 60.0, 0.03
KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Hit:
    """Result of a shot: the time of the kill in seconds, the killed process, and the remaining differences."""

    number: int
    drill: str
    whom: str
    attempt: int
    after_s: float
    ended: int
    seconds: float
    wrong: tuple[str, ...]
    code: str = ""


class Results:
    """File of completed shots. An interrupted series continues after them, and repeats failed shots."""

    def __init__(self, folder: Path, seed: str, code: str) -> None:
        """Open the file for a seed in ``folder``; results of code with another digest than ``code`` are ignored."""
        self.path, self.code = folder / f"{seed}.jsonl", code

    def add(self, hit: Hit) -> None:
        """Append a result; several processes may do this at the same time."""
        hit = replace(hit, code=self.code)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(hit), ensure_ascii=False) + "\n")

    def known(self) -> dict[int, Hit]:
        """Last result of each shot, by its number."""
        if not self.path.is_file():
            return {}
        rows = (json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines())
        return {row["number"]: Hit(**{**row, "wrong": tuple(row["wrong"])}) for row in rows if row["code"] == self.code}


def digest(root: Path) -> str:
    """Digest of everything that affects a shot: the program, the drills, the inventories and these tests."""
    found = hashlib.sha256()
    for folder in ("src", "drills", "inventory", "tests/matrix"):
        for path in sorted(path for path in (root / folder).rglob("*") if path.suffix in (".py", ".yml", ".sh")):
            found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


class Range:
    """Lab for the shots, and the measured durations on it."""

    def __init__(self, ground: Ground, seed: str, kept: Path) -> None:
        """Create it; runs of failed shots are kept in ``kept``."""
        self.ground, self.seed, self.kept = ground, seed, kept
        self._took: dict[tuple[str, str], float] = {}

    def fire(self, shot: Shot) -> Hit:
        """Carry out a shot, with another time as long as it misses."""
        self.ground.add(shot.drill)
        begun = time.monotonic()
        for attempt in range(ATTEMPTS):
            before = self.ground.camera.take()
            aim = _Aim(self, shot, shot.part(self.seed, attempt))
            wrong = aim.fire() + (self._after(aim, before) if aim.run else [])
            if aim.hit or wrong:
                return Hit(
                    shot.number,
                    shot.drill,
                    shot.whom,
                    attempt,
                    round(aim.after_s, 2),
                    aim.status,
                    round(time.monotonic() - begun, 1),
                    tuple(wrong),
                )
        return Hit(
            shot.number,
            shot.drill,
            shot.whom,
            ATTEMPTS,
            0.0,
            0,
            round(time.monotonic() - begun, 1),
            (f"none of {ATTEMPTS} attempts hit",),
        )

    def took(self, shot: Shot, typical: float) -> float:
        """Duration in seconds of the part of a run in which the shot falls: measured here, or estimated."""
        return self._took.get((shot.drill, shot.whom), typical)

    def missed(self, shot: Shot, seconds: float) -> None:
        """Record the measured duration."""
        self._took[shot.drill, shot.whom] = seconds

    def _after(self, aim: _Aim, before: Picture) -> list[str]:
        """Recover the run, then compare everything. Return the differences."""
        run = aim.run
        assert run is not None
        finished = any(event.kind == "run.finished" for event in story(run).events)
        wrong = [f"{aim.name} ended with {aim.status}"] if aim.status < 0 and not aim.at_program else []
        recovered = self.ground.recover(run)
        if aim.server and aim.server.is_down():  # the test itself killed the server, so the operator starts it
            aim.server.start()
            recovered = self.ground.recover(run)
        wrong += [f"recovery ended with {recovered.status}: {recovered.output[-1500:]}"] if recovered.status else []
        wrong += self.ground.wrong(run, before) + active_faults(run) + again(run)
        told = result(run)
        if told["residue"] or (told["verdict"] == "passed" and not finished):
            wrong.append(f"the report says {told['verdict']}, residue {told['residue']}")
        if wrong:
            shutil.copytree(run, self.kept / run.name, dirs_exist_ok=True)
        self.ground.forget(run)
        return wrong


class _Aim:
    """One attempt: a run, and the process of it that is killed at a certain time."""

    def __init__(self, range_: Range, shot: Shot, part: float) -> None:
        self._range, self._shot, self._part = range_, shot, part
        self.run: Path | None = None
        self._read: list[bytes] = []
        self.hit, self.after_s, self.status = False, 0.0, 0
        self.server = Server(range_.ground.lab, *SERVERS[shot.drill]) if shot.whom == "server" else None
        self.name = f"{shot.whom} of {shot.drill}"
        self.at_program = shot.whom != "server"

    def fire(self) -> list[str]:
        """Start a run and kill the process. Return problems of the shot itself."""
        ground = self._range.ground
        known = set(Project(ground.root).runs())
        program = Program(
            main, ["drill", self._shot.drill, "--inventory", "lab", "--quiet"], ground.root, ground.environment
        )
        until = time.monotonic() + BEGIN_S
        while program.runs and self.run is None and time.monotonic() < until:
            self.run = next(
                (run for run in Project(ground.root).runs() if run not in known and (run / FILE).is_file()), None
            )
            time.sleep(LOOK_S)
        if self.run is None:
            program.kill()
            return [f"no run began: {program.ended(BEGIN_S)}"]
        try:
            {"controller": self._controller, "recovery": self._recovery, "server": self._server}[self._shot.whom](program)
        except TimeoutError as error:
            return [str(error)]
        return []

    def _controller(self, program: Program) -> None:
        ended, seconds = self._killed(program, TYPICAL_S.get(self._shot.drill, 20.0))
        if not self.hit:
            self._range.missed(self._shot, seconds)
        self.status = ended.status

    def _killed(self, program: Program, typical: float) -> tuple[Ended, float]:
        """Kill a program after its part of the time, unless it ends before. Return its end, and the time until then."""
        begun, wanted = time.monotonic(), self._part * self._range.took(self._shot, typical)
        _wait(lambda: not program.runs, begun + wanted)
        self.after_s = time.monotonic() - begun
        if program.runs:
            program.kill()
        else:
            self.after_s = 0.0
        ended = program.ended(RUN_S)
        self.hit = ended.status == KILLED
        return ended, time.monotonic() - begun

    def _recovery(self, program: Program) -> None:
        """Kill the controller after it announced its first change, and the recovery in the middle of its work."""
        assert self.run is not None
        _wait(lambda: not program.runs or any(self._changes()), time.monotonic() + RUN_S)
        _wait(lambda: not program.runs, time.monotonic() + self._part * 997 % 1 * 5)
        program.kill()
        if program.ended(RUN_S).status != KILLED:
            return
        ground = self._range.ground
        recovery = Program(main, ["drill.recover", self.run.name], ground.root, ground.environment)
        ended, seconds = self._killed(recovery, RECOVERY_S)
        if not self.hit:
            self._range.missed(self._shot, seconds)
        self.status = ended.status

    def _changes(self) -> Iterator[bytes]:
        """Lines of the journal that announce a fault, or any change if the drill has no fault."""
        lines = self._lines()
        faults = any(b'"phase":"inject"' in line for line in lines[:1])
        return (line for line in lines if b'"kind":"intent"' in line and (not faults or b'"effect":"fault"' in line))

    def _server(self, program: Program) -> None:
        """Kill the server at a random time after the restore has begun, or as soon as it exists after that time."""
        assert self.server is not None
        _wait(lambda: not program.runs or self._reached("restore"), time.monotonic() + RUN_S)
        begun = time.monotonic()

        def over() -> bool:
            return not program.runs or self._reached("verify")

        _wait(over, begun + self._part * self._range.took(self._shot, RESTORE_S.get(self._shot.drill, 3.0)))
        while not over() and not self.hit:
            self.hit = self.server.kill()
            time.sleep(LOOK_S)
        self.after_s = time.monotonic() - begun
        if not self.hit:
            self._range.missed(self._shot, self.after_s)
        self.status = program.ended(RUN_S).status

    def _reached(self, phase: str) -> bool:
        return any(b'"kind":"step.started"' in line and f'"phase":"{phase}"'.encode() in line for line in self._lines())

    def _lines(self) -> list[bytes]:
        """Read the new part of the journal. Return all of it."""
        assert self.run is not None
        with (self.run / FILE).open("rb") as file:
            file.seek(sum(map(len, self._read)))
            self._read += [line for line in file.readlines() if line.endswith(b"\n")]
        return self._read


@dataclass(frozen=True, slots=True)
class Server:
    """Server of a lab that a test kills as a crash does, and that is started again."""

    lab: Path
    host: str
    program: str

    @property
    def home(self) -> Path:
        """Home folder of its host."""
        return self.lab / self.host

    def pids(self) -> Iterator[int]:
        """Pid of the server: of PostgreSQL by the data directories, where that of a restore comes first; of others by
        their supervisor.
        """
        if self.program != "postgresql":
            yield (supervision.pids(self.home) or {}).get(self.program, 0)
            return
        for path in sorted(self.home.glob("pgdata*/postmaster.pid"), key=lambda path: path.parent.name == "pgdata"):
            with _gone():
                yield int(path.read_text().split()[0])

    def kill(self) -> bool:
        """Kill the server with SIGKILL. Return False when there is none."""
        for pid in self.pids():
            if pid > 1:
                with _gone():
                    os.kill(pid, signal.SIGKILL)
                    return True
        return False

    def is_down(self) -> bool:
        """Return True when the server should run, but does not."""
        return self.host != "db-2" and not (supervision.pids(self.home) or {}).get(self.program)

    def start(self) -> None:
        """Start the server, as an operator does, and wait until it accepts connections."""
        supervision.start(self.home, [self.program])
        _wait(lambda: not self.is_down() and self._answers(), time.monotonic() + BEGIN_S)

    def _answers(self) -> bool:
        lab = Lab.read(self.lab)
        assert lab is not None
        try:
            if self.program == "postgresql":
                psycopg.connect(
                    host=ADDRESS,
                    port=lab.port(f"postgres.{self.host}"),
                    dbname="postgres",
                    user="postgres",
                    password=lab.secret("pg_admin"),
                    connect_timeout=5,
                ).close()
            else:
                socket.create_connection((ADDRESS, lab.port(self.program)), timeout=5).close()
        except (OSError, psycopg.Error):
            return False
        return True


def _gone() -> contextlib.AbstractContextManager[None]:
    return contextlib.suppress(OSError, ValueError, IndexError)


def _wait(held: Callable[[], bool], until: float) -> None:
    while not held() and (left := until - time.monotonic()) > 0:
        time.sleep(min(LOOK_S, left))
