"""Forgeries of evidence by an attacker with write access to ``reports/``, and the commands that an operator types
afterwards: ``python -m tests.attestation.forgeries``. Each forgery changes real runs of the real program. After the
forgery, and after each command, ``report.verify`` must not exit with 0, and the audit must not pass.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drillbook.cli import audit, recover, render, verify
from drillbook.errors import DrillbookError
from drillbook.journal.journal import alive
from drillbook.plan.plan import digest_of
from drillbook.project.project import Project
from drillbook.values import digest
from tests.attestation.forging import attest, chained, journal, throw_away_key
from tests.program import Folder, step

GOOD = "restore:\n  - command.run: {argv: [echo, said], keep: true, effect: read}\n    hosts: controller\n"
BAD = GOOD + "verify:\n  - command.run: {argv: ['false'], effect: read}\n    hosts: controller\n"
FAULT = (
    "inject:\n  - command.run: {argv: [touch, DIR/broken], effect: fault, undo: [rm, -f, DIR/broken], proof: "
    "[test, -e, DIR/broken]}\n    hosts: controller\nrestore:\n" + step(["sleep", "300"])
)
COMMANDS = (("report", "RUN"), ("report",), ("drill.recover", "RUN"))
"""Commands that an operator might type next, in this order; RUN is the forged run or suite."""


class Site:
    """Project with a passed run, a suite with a passed and a failed drill, a failed run (the newest), and a run whose
    controller died. Everything is below ``root``. The key and the anchors belong to the operator; the forger does not
    have them.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.thief = root, throw_away_key(root)
        self.environment = {"XDG_CONFIG_HOME": str(root / "config"), "XDG_STATE_HOME": str(root / "state")}
        with self.operator():
            self.first = self._project("first", {"good": GOOD, "bad": BAD})
            (self.first.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [good, bad]\n")
            self.passed = self._ran("good", 0)
            self.suite = self._ran("all", 1)
            self.failed = self._ran("bad", 1)
            self.dead_project = self._project("second", {"dead": FAULT})
            self.dead = self._killed()
        for name in ("first", "second", "state"):
            shutil.copytree(root / name, root / "pristine" / name, symlinks=True)

    @contextlib.contextmanager
    def operator(self) -> Iterator[None]:
        """Environment variables of the operator."""
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def _project(self, name: str, drills: dict[str, str]) -> Folder:
        (self.root / name).mkdir()
        folder = Folder(self.root / name)
        for drill, text in drills.items():
            folder.write(text, drill)
        return folder

    def _ran(self, name: str, status: int) -> Path:
        done = self.first.run("drill", name)
        assert done.returncode == status, done.stdout + done.stderr
        return self.first.latest

    def _killed(self) -> Path:
        with self.dead_project.start("drill", "dead", "--json", stdout=subprocess.PIPE, text=True) as program:
            assert any(
                (event := json.loads(line)).get("step") == "restore.1" and event["kind"] == "step.started"
                for line in program.stdout
            )
            program.kill()
        run = Project(self.dead_project.root).run()
        while alive(run):
            time.sleep(0.05)
        return run

    def restored(self) -> None:
        """Restore the state from before the forgeries."""
        for name in ("first", "second", "state"):
            shutil.rmtree(self.root / name)
            shutil.copytree(self.root / "pristine" / name, self.root / name, symlinks=True)

    def untouched(self) -> dict[str, int]:
        """Exit statuses of ``report.verify`` and of the audit without any forgery."""
        with self.operator():
            project = Project(self.first.root)
            told = {
                name: typed(project, "report.verify", getattr(self, name).name).status
                for name in ("passed", "suite", "failed")
            }
            return {**told, "audit": typed(project, "audit", str(self.root / "audit")).status}

    @property
    def bad_of_suite(self) -> Path:
        return next(path for path in self.suite.iterdir() if path.name.endswith("-bad" + path.name[-5:]))


def passing(events):
    """Change the events of the failed run so that it looks passed."""
    good = next(event for event in events if event["kind"] == "done")
    for event in events:
        if event.get("step") == "verify.1":
            if event["kind"] == "failed":
                event.update(kind="done", data=good["data"] | {"facts": {"exit": 0, "stderr": "", "stdout": ""}})
            elif event["kind"] == "command":
                event["data"]["exit"] = 0
        if event["kind"] == "phase.ended":
            event["data"]["status"] = "done"
    return events


def rewrite(run: Path, edit: Callable[[list[dict]], list[dict]] = passing) -> None:
    """Replace the events of the journal, and recompute its chain of hashes."""
    (run / "journal.jsonl").write_bytes(chained(edit(journal(run))))


def edit_first(change):
    def edit(events):
        change(events[0]["data"])
        events[0]["data"]["plan_digest"] = digest_of(events[0]["data"]["plan"])
        return passing(events)

    return edit


def dated(events):
    for event in events:
        event["at"] = event["at"].replace("2026-", "2025-", 1)
    return passing(events)


def completed(events):
    """Turn the journal of the dead run into that of a run that completed and passed."""
    last = events[-1]
    more = [
        ("phase.ended", None, {"phase": "restore", "status": "done", "slept_s": 0}),
        ("phase.started", None, {"phase": "verify", "slept_s": 0}),
        ("phase.ended", None, {"phase": "verify", "status": "done", "slept_s": 0}),
        ("run.finished", None, {"residue": [], "unwritten": ""}),
    ]
    return [
        *events,
        *({**{key: last[key] for key in ("at", "clock")}, "kind": kind, "data": data} for kind, _, data in more),
    ]


def renamed(run: Path, name: str) -> Path:
    return run.rename(run.with_name(name))


def result(folder: Path, **said) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **said}, indent=2) + "\n")


def without(folder: Path, *names: str) -> None:
    for name in names or ("attestation.json", "attestation.json.sig"):
        (folder / name).unlink(missing_ok=True)


def over(run: Path, other: Path) -> None:
    """Put the content of the run ``other`` into the folder of ``run``."""
    shutil.rmtree(run)
    shutil.copytree(other, run)


def swap(run: Path, first: int, second: int) -> None:
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[first], lines[second] = lines[second], lines[first]
    (run / "journal.jsonl").write_bytes(b"".join(lines))


@dataclass(frozen=True)
class Forgery:
    """One forgery: its name, and a function that carries it out.

    The function returns the names to pass to ``report.verify``.
    """

    name: str
    do: Callable[[Site], object]
    on: str = "failed"
    """The forged run of the project, which is also verified."""
    asked: tuple[str, ...] = ()
    """Names to verify instead of that run."""
    heals: bool = False
    """True when rendering the reports again undoes the forgery, because it changed only a report."""


def thief(run_of, edit=passing, **said):
    """Rewrite a journal, and sign it with a new key that nobody trusts."""

    def do(site: Site) -> None:
        run = run_of(site)
        rewrite(run, edit)
        attest(run, site.thief, **{"verdict": "passed", "exit": 0, "occasion": "run", "unvouched": None, **said})

    return do


def of(name):
    return lambda site: getattr(site, name)


FAILED, DEAD = of("failed"), of("dead")


def seq(*acts):
    return lambda site: [act(site) for act in acts]


def suite_passed(site: Site) -> None:
    found = json.loads((site.suite / "result.json").read_text())
    runs = [{**run, "verdict": "passed", "exit": 0} for run in found["runs"]]
    result(site.suite, verdict="passed", exit=0, runs=runs)


def suite_attested(site: Site, key=True) -> None:
    """Rewrite the attestation of the suite to match its drills in their current state."""
    content = json.loads((site.suite / "attestation.json").read_text())
    runs = [
        {
            **run,
            "verdict": "passed",
            "exit": 0,
            "attestation": digest((site.suite / run["folder"] / "attestation.json").read_bytes()),
        }
        for run in content["runs"]
        if (site.suite / run["folder"]).is_dir()
    ]
    attest(site.suite, site.thief if key else None, verdict="passed", exit=0, runs=runs)


def suite_short(site: Site) -> None:
    shutil.rmtree(site.bad_of_suite)
    found = json.loads((site.suite / "result.json").read_text())
    result(site.suite, verdict="passed", exit=0, drills=["good"], runs=found["runs"][:1])


def suite_with_another(site: Site) -> None:
    """Replace the failed drill by an older, genuine run that passed."""
    bad = site.bad_of_suite
    shutil.rmtree(bad)
    shutil.copytree(site.passed, site.suite / site.passed.name)
    found = json.loads((site.suite / "result.json").read_text())
    other = {**found["runs"][1], "run": site.passed.name, "folder": site.passed.name, "verdict": "passed", "exit": 0}
    result(site.suite, verdict="passed", exit=0, runs=[found["runs"][0], other])


def evidence(site: Site) -> Path:
    return next((site.failed / "evidence").iterdir())


def linked(path: Path) -> None:
    """Replace a file by a link to the same bytes elsewhere, where they can be changed later."""
    other = path.parents[3] / f"elsewhere-{path.name}"
    shutil.copy(path, other)
    path.unlink()
    path.symlink_to(other)


def invented(site: Site) -> None:
    """Invent a complete run that never took place and is newer than all others."""
    name = "20261231T235900.000Z-good-0bad"
    run = Path(shutil.copytree(site.passed, site.failed.parent / name))

    def edit(events):
        events[0]["data"]["run"] = name
        events[0]["prev"] = journal(site.failed)[-1]["hash"]
        return events

    rewrite(run, edit)
    attest(run, site.thief, run=name, previous_head=journal(site.failed)[-1]["hash"])


def hidden(site: Site) -> None:
    renamed(site.failed, "." + site.failed.name)


def rolled_back(site: Site) -> None:
    """Reset ``reports/`` to its state before the failed run."""
    shutil.rmtree(site.failed)
    latest = site.failed.parent / "latest"
    latest.unlink()
    latest.symlink_to(site.suite.name)


def only_the_passed(site: Site) -> None:
    shutil.rmtree(site.failed)
    shutil.rmtree(site.suite)


REPORTS = ("plan.json", "result.json", "report.html", "report.md", "junit.xml")

FORGERIES = (
    # fields
    Forgery(
        "a failure is turned into a success, nothing else",
        lambda site: (site.failed / "journal.jsonl").write_bytes(
            (site.failed / "journal.jsonl").read_bytes().replace(b'"kind":"failed"', b'"kind":"done"')
        ),
    ),
    Forgery("turned passed, chained anew", lambda site: rewrite(site.failed)),
    Forgery(
        "turned passed, the attestation made to fit, its signature left",
        seq(
            lambda site: shutil.copy(site.failed / "attestation.json.sig", site.root / "sig"),
            lambda site: rewrite(site.failed),
            lambda site: attest(site.failed, verdict="passed", exit=0),
            lambda site: shutil.copy(site.root / "sig", site.failed / "attestation.json.sig"),
        ),
    ),
    Forgery(
        "turned passed, the attestation made to fit, its signature removed",
        seq(lambda site: rewrite(site.failed), lambda site: attest(site.failed, verdict="passed", exit=0)),
    ),
    Forgery(
        "turned passed, the attestation removed", seq(lambda site: rewrite(site.failed), lambda site: without(site.failed))
    ),
    Forgery(
        "turned passed, only the attestation removed, its signature left",
        seq(lambda site: rewrite(site.failed), lambda site: without(site.failed, "attestation.json")),
    ),
    Forgery("turned passed, signed with a throw-away key", thief(FAILED)),
    Forgery(
        "the same, as a new rendering of a run that was signed at its end",
        thief(FAILED, occasion="report", previous_attestation={"signed": True, "sealed_at_end": True}),
    ),
    Forgery(
        "turned passed, unsigned for want of ssh-keygen",
        seq(
            lambda site: rewrite(site.failed),
            lambda site: attest(site.failed, verdict="passed", exit=0, key=None, unsigned="ssh-keygen is not installed"),
        ),
    ),
    Forgery(
        "turned passed, said to be a checkpoint without a signature",
        seq(lambda site: rewrite(site.failed), lambda site: attest(site.failed, verdict=None, exit=None, occasion="begin")),
    ),
    Forgery("the operator is another one", thief(FAILED, edit_first(lambda data: data.update(operator="ann@elsewhere")))),
    Forgery(
        "the environment is production",
        thief(
            FAILED,
            edit_first(lambda data: data["plan"]["inventory"].update(environment="production")),
            environment="production",
        ),
    ),
    Forgery(
        "the drill has another title and no objective",
        thief(FAILED, edit_first(lambda data: data["plan"].update(title="Another", objectives={}))),
    ),
    Forgery(
        "the tool is another version",
        thief(FAILED, edit_first(lambda data: data.update(tool="drillbook 0.0.1")), tool="drillbook 0.0.1"),
    ),
    Forgery(
        "seconds are shorter",
        thief(FAILED, lambda events: passing([{**event, "clock": event["clock"] / 10} for event in events])),
    ),
    # lines
    Forgery(
        "the failing lines are removed, chained anew",
        thief(FAILED, lambda events: passing([event for event in events if event["kind"] != "failed"])),
    ),
    Forgery("two lines are swapped", lambda site: swap(site.failed, 3, 4)),
    Forgery(
        "the end is cut off",
        lambda site: (site.failed / "journal.jsonl").write_bytes(
            b"".join((site.failed / "journal.jsonl").read_bytes().splitlines(keepends=True)[:-3])
        ),
    ),
    Forgery(
        "the last line is torn",
        lambda site: (site.failed / "journal.jsonl").write_bytes((site.failed / "journal.jsonl").read_bytes()[:-9]),
    ),
    Forgery(
        "bytes without a line end stand behind the end",
        lambda site: (site.failed / "journal.jsonl").write_bytes((site.failed / "journal.jsonl").read_bytes() + b"{"),
    ),
    Forgery(
        "a recovery is added behind the end",
        lambda site: (site.failed / "journal.jsonl").write_bytes(
            chained(
                [
                    *journal(site.failed),
                    {**journal(site.failed)[-1], "kind": "recovery.started", "data": {"operator": "ann", "tool": "x"}},
                ]
            )
        ),
    ),
    # dead runs
    Forgery("a dead run is completed, behind its own signed begin", lambda site: rewrite(site.dead, completed), on="dead"),
    Forgery("a dead run is completed and signed with a throw-away key", thief(DEAD, completed), on="dead"),
    Forgery(
        "a dead run loses what it broke",
        lambda site: rewrite(
            site.dead,
            lambda events: [
                event
                for event in events
                if event["kind"] not in ("intent", "step.started") or event.get("step") != "inject.1"
            ],
        ),
        on="dead",
    ),
    Forgery("a dead run is written anew before what it signed", lambda site: rewrite(site.dead, dated), on="dead"),
    # whole runs
    Forgery("the journal is emptied", lambda site: (site.failed / "journal.jsonl").write_bytes(b"")),
    Forgery("the journal is gone", lambda site: (site.failed / "journal.jsonl").unlink()),
    Forgery("an older genuine run lies in the folder of the newer one", lambda site: over(site.failed, site.passed)),
    Forgery(
        "an older genuine run has the name of the newer one",
        seq(lambda site: shutil.rmtree(site.failed), lambda site: renamed(site.passed, site.failed.name)),
    ),
    Forgery(
        "the folder is a link to an older genuine run",
        seq(lambda site: shutil.rmtree(site.failed), lambda site: site.failed.symlink_to(site.passed.name)),
        asked=("", "latest"),
    ),
    Forgery(
        "a run that never took place, signed with a throw-away key",
        invented,
        asked=("", "latest", "20261231T235900.000Z-good-0bad"),
    ),
    Forgery("the newest run is removed", lambda site: shutil.rmtree(site.failed), asked=("", "latest")),
    Forgery("the newest run is hidden", hidden, asked=("", "latest")),
    Forgery("all of reports/ is rolled back", rolled_back, asked=("", "latest")),
    Forgery("all that failed is removed", only_the_passed, asked=("", "latest")),
    # suites
    Forgery("the result of a suite says passed", suite_passed, on="suite", heals=True),
    Forgery("the same, signed with a throw-away key", seq(suite_passed, suite_attested), on="suite"),
    Forgery("the same, without an attestation", seq(suite_passed, lambda site: without(site.suite)), on="suite"),
    Forgery("a suite loses the drill that failed", seq(suite_short, suite_attested), on="suite"),
    Forgery(
        "a suite loses the drill that failed, and its attestation",
        seq(suite_short, lambda site: without(site.suite)),
        on="suite",
    ),
    Forgery(
        "a suite holds an older genuine run in place of the failed one",
        seq(suite_with_another, lambda site: without(site.suite)),
        on="suite",
    ),
    Forgery("a drill of a suite is turned passed", thief(of("bad_of_suite")), on="suite"),
    Forgery(
        "a suite and its drill are turned passed", seq(thief(of("bad_of_suite")), suite_passed, suite_attested), on="suite"
    ),
    # evidence
    Forgery("evidence is changed", lambda site: evidence(site).write_text("something else")),
    Forgery("evidence is removed", lambda site: evidence(site).unlink()),
    Forgery("evidence is added", lambda site: (site.failed / "evidence" / "note").write_text("all was well")),
    Forgery("evidence is a link to elsewhere", lambda site: linked(evidence(site))),
    # plans and reports
    *(
        Forgery(
            f"{name} is another one",
            lambda site, name=name: (site.failed / name).write_text(
                (site.failed / name).read_text().replace("failed", "passed").replace("bad", "good") + " "
            ),
            heals=True,
        )
        for name in REPORTS
    ),
    # keys and dates
    Forgery(
        "the signature is that of another run",
        lambda site: shutil.copy(site.passed / "attestation.json.sig", site.failed / "attestation.json.sig"),
    ),
    Forgery(
        "attestation and signature are those of another run",
        lambda site: [
            shutil.copy(site.passed / name, site.failed / name) for name in ("attestation.json", "attestation.json.sig")
        ],
    ),
    Forgery(
        "the key in the attestation is the genuine one, the signature another's",
        lambda site: [
            rewrite(site.failed),
            attest(
                site.failed,
                site.thief,
                verdict="passed",
                exit=0,
                key=json.loads((site.passed / "attestation.json").read_text())["key"],
            ),
        ],
    ),
    Forgery("the attestation says an earlier time", lambda site: attest(site.failed, site.thief, at="2020-01-01T00:00:00Z")),
    Forgery("all dates are a year earlier", thief(FAILED, dated, started="2025-11-27T00:00:00Z")),
)


@dataclass(frozen=True)
class Told:
    """Result of a command: its exit status, and the last line or the error that it printed."""

    status: int
    text: str


def typed(project: Project, *argv: str) -> Told:
    """Type a command of the operator in the project's folder, in this process."""
    tasks = {
        "report": render.report,
        "report.verify": verify.verify,
        "drill.recover": recover.recover,
        "audit": lambda project, out: audit.audit(project, "2000-01-01", "2999-12-31", out),
    }
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            status = tasks[argv[0]](project, *(argv[1:] or ("",)))
        except DrillbookError as error:
            return Told(error.exit_status, f"error: {error.message}")
    lines = [line.strip() for line in out.getvalue().splitlines() if line.strip()]
    marked = [line for line in lines if line[:1] in "?✕!"] or lines
    return Told(status, (lines[0] if argv[0] == "audit" else marked[0] if marked else "")[:110])


@dataclass(frozen=True)
class Row:
    """One forgery, the command after it, and its output."""

    command: str
    done: Told | None
    verified: dict[str, Told]
    audit: Told
    healed: bool


def rows(site: Site, forgery: Forgery, commands: Sequence[tuple[str, ...]] = COMMANDS) -> Iterator[Row]:
    """Carry out the forgery, then run each command, and verify after each."""
    site.restored()
    run = getattr(site, forgery.on)
    forgery.do(site)
    project = Project(run.parents[1])
    with site.operator():
        for command in ((), *commands):
            argv = [run.name if word == "RUN" else word for word in command]
            done = typed(project, *argv) if argv else None
            asked = {name: typed(project, "report.verify", name) for name in forgery.asked or (run.name,)}
            audit = typed(project, "audit", str(site.root / "audit"))
            yield Row(" ".join(argv) or "(nothing)", done, asked, audit, forgery.heals and bool(argv))


def main(first: int = 1) -> int:
    """Print each forgery from number ``first`` on, each command after it, and the output of ``report.verify`` and
    ``audit``. Return 1 when a forgery was not detected.
    """
    through = 0
    with tempfile.TemporaryDirectory(prefix="forgeries-") as folder:
        site = Site(Path(folder))
        for number, forgery in list(enumerate(FORGERIES, 1))[first - 1 :]:
            sys.stdout.write(f"\n{number}. {forgery.name}\n")
            for row in rows(site, forgery):
                sys.stdout.write(f"   {row.command}" + (f": exit {row.done.status}\n" if row.done else "\n"))
                for name, told in row.verified.items():
                    sys.stdout.write(f"      report.verify {name}: exit {told.status}: {told.text}\n")
                sys.stdout.write(f"      audit: exit {row.audit.status}: {row.audit.text}\n")
                if not row.healed and (not row.audit.status or not all(told.status for told in row.verified.values())):
                    through += 1
                    sys.stdout.write("      WENT THROUGH\n")
    sys.stdout.write(f"\n{len(FORGERIES)} forgeries, {len(COMMANDS) + 1} ways each; {through} went through\n")
    return min(through, 1)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
