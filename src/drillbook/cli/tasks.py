"""The invoke tasks. ``tasks.py`` of a project names this namespace; the program ``drillbook`` runs the same tasks."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import ParseError
from invoke.tasks import task

from drillbook import __version__
from drillbook.cli.console import Steady
from drillbook.cli.invoking import Dry, FreeTask, Offering, amend, is_dry, told
from drillbook.cli.place import anywhere, here, of_runs
from drillbook.cli.trust_task import trust
from drillbook.errors import DrillbookError, UsageError
from drillbook.exits import Exit
from drillbook.project.project import Project

RUN = "a run, the beginning of its name, or a drill (its newest run)"
INVENTORY = {"inventory": "name of a file in inventory/, or a path (default: lab)"}


def _named(project: Project, name: str | None) -> str:
    """``name``, which must not be empty. Raises UsageError."""
    if not name:
        known = ", ".join(project.drill_names()) or "none"
        raise UsageError("which drill or suite? its name is missing", hint=f"there are: {known}")
    return name


def _assume(answer: str) -> None:
    """Let ``answer`` be given where nobody can be asked. Raises UsageError."""
    if answer not in ("", "yes", "no"):
        raise UsageError(f"--assume is yes or no, not {answer!r}")
    if answer:
        os.environ["DRILLBOOK_ASSUME"] = answer


@task(
    klass=FreeTask,
    default=True,
    positional=["name"],
    help={
        "name": "drill or suite",
        **INVENTORY,
        "quiet": "print the verdict and the findings only",
        "json": "print every event as one line of JSON, and at the end the result",
        "assume": "yes or no: the answer to every manual step, where nobody can be asked",
        "confirm": "name of the environment: needed where it is protected, and where the guard wants an approval",
        "trace": "send the run's trace to this OpenTelemetry collector, such as http://127.0.0.1:4318",
    },
)
@told(Dry.TELLS)
def drill(
    context: Context,
    name: str | None = None,
    inventory: str = "lab",
    quiet: bool = False,
    json: bool = False,
    *,
    assume: str = "",
    confirm: str = "",
    trace: str = "",
) -> int:
    """Run a drill or a suite; the exit status is its verdict's."""
    from drillbook.cli import commands, dry_run  # noqa: PLC0415  keeps `drill.list` fast
    from drillbook.cli.views import Manner  # noqa: PLC0415  keeps `drill.list` fast

    project = here()
    wanted = _named(project, name)
    if quiet and json:
        raise UsageError("--quiet and --json exclude each other")
    _assume(assume)
    if trace:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = _collector(trace)
    if is_dry(context):
        return dry_run.drill(project, wanted, inventory, as_json=json)
    manner = Manner.QUIET if quiet else Manner.JSON if json else Manner.FULL
    return commands.drill(project, wanted, inventory, manner, confirm)


def _collector(url: str) -> str:
    if not re.match(r"https?://[^/\s]", url):
        raise UsageError(f"--trace is the URL of a collector, such as http://127.0.0.1:4318, not {url!r}")
    return url


@task(name="list")
@told(Dry.READS)
def list_(_: Context) -> int:
    """What drills there are, how each last ended, what is due, and which runs never ended."""
    from drillbook.cli import overview  # noqa: PLC0415  keeps start-up fast

    return overview.drills(here())


@task(klass=FreeTask, positional=["name"], help={"name": "drill or suite", **INVENTORY, "json": "print the plan as JSON"})
@told(Dry.READS)
def plan(_: Context, name: str | None = None, inventory: str = "lab", json: bool = False) -> int:
    """Show what a drill would do: hosts, steps, effects, undo, guard. Touches nothing; exit 4 when it would be refused."""
    from drillbook.cli import show_plan  # noqa: PLC0415  keeps start-up fast

    project = here()
    return show_plan.plans(project, _named(project, name), inventory, as_json=json)


@task(
    klass=FreeTask,
    positional=["name"],
    help={
        "name": "drill or suite; with --reason a run",
        **INVENTORY,
        "until": "how long it holds, such as 24h; at most 30d",
        "key": "your SSH key, private, or public when an agent holds it; default: the first in ~/.ssh",
        "reason": "approve instead that what this run left is closed, for this reason",
    },
)
@told(Dry.TELLS)
def approve(
    context: Context, name: str | None = None, inventory: str = "lab", until: str = "24h", key: str = "", *, reason: str = ""
) -> int:
    """Approve exactly this plan of a drill with your SSH key, so that somebody else may run it."""
    from drillbook.cli import close_residue, dry_run, show_plan  # noqa: PLC0415  keeps start-up fast

    if reason:
        project = of_runs()
        return (
            dry_run.recover(project, name or "", closes=True)
            if is_dry(context)
            else close_residue.approve(project, name or "", reason, until, key)
        )
    project = here()
    if is_dry(context):
        return dry_run.drill(project, _named(project, name), inventory)
    return show_plan.approve(project, _named(project, name), inventory, until, key)


@task(klass=FreeTask, name="check", positional=["name"], help={"name": "drill or suite", **INVENTORY})
@told(Dry.TELLS)
def check_drill(context: Context, name: str | None = None, inventory: str = "lab") -> int:
    """Check whether a drill could begin now: hosts, probes, every step. Reads only; exit 0 or 4."""
    from drillbook.cli import commands, dry_run  # noqa: PLC0415  keeps start-up fast

    project = here()
    if is_dry(context):
        return dry_run.drill(project, _named(project, name), inventory)
    return commands.check(project, _named(project, name), inventory)


@task(
    klass=FreeTask,
    positional=["run"],
    help={
        "run": f"{RUN}; default: every unfinished one",
        "from_backup": "restore from the backup that the run proved, by the system's own restore, not as the drill says",
        "settled": "close what the run left: nothing is to be put back any more",
        "reason": "why it is closed",
    },
)
@told(Dry.TELLS)
def recover(
    context: Context, run: str | None = None, *, from_backup: bool = False, settled: bool = False, reason: str = ""
) -> int:
    """Put back what a dead run left, from its journal alone; or close it with a reason, once its proofs were asked."""
    from drillbook.cli import close_residue, commands, dry_run  # noqa: PLC0415  keeps start-up fast

    if from_backup and settled:
        raise UsageError("--from-backup and --settled exclude each other")
    if reason and not settled:
        raise UsageError("--reason is for --settled", hint="drill.recover RUN --settled --reason TEXT")
    if is_dry(context):
        return dry_run.recover(of_runs(), run or "", closes=settled, from_backup=from_backup)
    if settled:
        return close_residue.settle(of_runs(), run or "", reason)
    return commands.recover(of_runs(), run or "", from_backup=from_backup)


@task(klass=FreeTask, positional=["run"], help={"run": "name of a run; default: every run", **INVENTORY})
@told(Dry.TELLS)
def stop(context: Context, run: str | None = None, inventory: str = "lab") -> int:
    """Stop a run from elsewhere: here, or on any machine that reaches the targets. It puts everything back first."""
    from drillbook.cli import dry_run  # noqa: PLC0415  keeps start-up fast
    from drillbook.cli import stop as halting  # noqa: PLC0415  loads the SSH client

    if is_dry(context):
        return dry_run.stop(here(spare=True), run or "", inventory)
    return halting.stop(here(spare=True), run or "", inventory)


@task(klass=FreeTask, default=True, positional=["run"], help={"run": f"{RUN}; default: the newest"})
@told(Dry.TELLS)
def report(context: Context, run: str | None = None) -> int:
    """Render a run's reports again from its journal."""
    from drillbook.cli import commands, dry_run  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        return dry_run.report(of_runs(), run or "")
    return commands.report(of_runs(), run or "")


@task(klass=FreeTask, positional=["run"], help={"run": f"{RUN}, or a suite; default: the newest"})
@told(Dry.READS)
def verify(_: Context, run: str | None = None) -> int:
    """Check all that a run left: chain, signature, files, reports. Exit 0, 1 (wrong), 3 (could not be verified)."""
    from drillbook.cli import commands  # noqa: PLC0415  keeps start-up fast

    return commands.verify(of_runs(), run or "")


@task(name="list", help={"all": "list every run, not only the newest"})
@told(Dry.READS)
def list_runs(_: Context, all: bool = False) -> int:  # noqa: A002  the name of the flag
    """Every run, newest first: when it began, its verdict, its name."""
    from drillbook.cli import overview  # noqa: PLC0415  keeps start-up fast

    return overview.runs(of_runs(), everything=all)


@task(klass=FreeTask, name="open", positional=["run"], help={"run": f"{RUN}; default: the newest"})
@told(Dry.TELLS)
def open_(context: Context, run: str | None = None) -> int:
    """Show a run's report in the browser; prints its path where there is none."""
    from drillbook.cli import commands, dry_run  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        return dry_run.tell(f"would open {of_runs().run(run or '', suites=True) / 'report.html'}")
    return commands.open_report(of_runs(), run or "")


@task(
    help={
        "since": "first day, such as 2026-01-01",
        "until": "last day",
        "out": "folder for the report",
        "anchor": "file or s3://bucket/prefix to compare with; default: your state folder's, and DRILLBOOK_ANCHOR",
    }
)
@told(Dry.REFUSED)
def audit(_: Context, since: str = "", until: str = "", out: str = "", anchor: str = "") -> int:
    """The audit report of a period: every run in it, coverage, objectives, findings."""
    from drillbook.cli import commands  # noqa: PLC0415  keeps start-up fast

    if not since or not until:
        raise UsageError("an audit needs --since and --until", hint="audit --since 2026-01-01 --until 2026-12-31")
    return commands.audit(of_runs(), since, until, out, anchor)


@task(
    klass=FreeTask,
    positional=["service"],
    help={
        "service": "a service of the inventory; default: every one that is meant to run",
        **INVENTORY,
        "within": "time for all checks together, such as 20s",
        "json": "print all that was found as JSON",
        "apply": "ask whether to carry out the remedy of the likeliest cause, then do it as a run with a journal",
        "assume": "yes or no: the answer where nobody can be asked",
        "confirm": "name of the environment",
    },
)
@told(Dry.READS)
def diagnose(
    context: Context,
    service: str | None = None,
    inventory: str = "lab",
    *,
    within: str = "20s",
    json: bool = False,
    apply: bool = False,
    assume: str = "",
    confirm: str = "",
) -> int:
    """Find the cause of an incident, in seconds; changes nothing. Exit 0 (healthy), 1 (a cause was found), 3 (unknown)."""
    from drillbook.cli import diagnose as incident  # noqa: PLC0415  keeps start-up fast

    if json and apply:
        raise UsageError("--json and --apply exclude each other")
    if apply and is_dry(context):
        raise UsageError("--dry and --apply exclude each other", hint="without --apply nothing is changed")
    _assume(assume)
    return incident.diagnose(here(), service or "", inventory, within, as_json=json, apply=apply, confirm=confirm)


@task(klass=FreeTask, positional=["folder"], help={"folder": "folder of the new project; default: this one"})
@told(Dry.TELLS)
def init(context: Context, folder: str | None = None) -> int:
    """Make a new project: inventories, a first drill and suite, tasks, and files for CI."""
    from drillbook.cli import dry_run, scaffold  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        return dry_run.init(Path(folder or "."))
    return scaffold.init(Path(folder or "."))


@task(klass=FreeTask, positional=["kind"], help={"kind": "drill, inventory or tree"})
@told(Dry.READS)
def schema(_: Context, kind: str | None = None) -> int:
    """JSON Schema of drills, inventories or diagnosis trees, for editors."""
    from drillbook.cli import schema as schemas  # noqa: PLC0415  loads every action

    anywhere()
    return schemas.show(kind or "")


@task(klass=FreeTask, positional=["name"], help={"name": "an action or a probe; default: all"})
@told(Dry.READS)
def actions(_: Context, name: str | None = None) -> int:
    """Reference of actions and probes."""
    from drillbook.cli import tables  # noqa: PLC0415  keeps start-up fast

    anywhere()
    return tables.actions(name or "")


KIND = {"kind": "embedded or docker (default: embedded)"}


@task(help={**KIND, "build_only": "docker: build the images and start nothing"})
@told(Dry.TELLS)
def up(context: Context, kind: str = "embedded", build_only: bool = False) -> int:
    """Start a lab, or use the one that runs."""
    from drillbook.cli import dry_run, labs  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        return dry_run.lab(labs.folder(here(spare=True), kind), kind, "build the images of" if build_only else "start")
    return labs.up(here(spare=True), kind, build_only=build_only)


@task(help={**KIND, "images": "docker: remove its images too"})
@told(Dry.TELLS)
def down(context: Context, kind: str = "embedded", images: bool = False) -> int:
    """Stop a lab and remove all that it made."""
    from drillbook.cli import dry_run, labs  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        return dry_run.lab(labs.folder(here(spare=True), kind), kind, "stop and remove")
    return labs.down(here(spare=True), kind, images=images)


@task(help=KIND)
@told(Dry.READS)
def status(_: Context, kind: str = "embedded") -> int:
    """What of a lab runs."""
    from drillbook.cli import labs  # noqa: PLC0415  keeps start-up fast

    return labs.status(here(spare=True), kind)


def checkout() -> Path | None:
    """The checkout of this very Drillbook that the current folder is in, and in no other project inside it; else None."""
    package = Path(__file__).resolve().parents[1]
    root = package.parents[1]
    nearest = next((one for one in (Path.cwd(), *Path.cwd().parents) if one == root or (one / "drills").is_dir()), None)
    if nearest != root or package != root / "src" / "drillbook":
        return None
    with contextlib.suppress(OSError):
        return root if 'name = "drillbook"' in (root / "pyproject.toml").read_text(encoding="utf-8") else None
    return None


@task(help={"all": "everything: the controller killed after every single event of every drill, and every example"})
def test(context: Context, all: bool = False) -> None:  # noqa: A002, PT028  the flag's name; no test
    """Run the tests (for people who work on Drillbook); a sample of the kill matrix unless --all is given."""
    wanted = {"DRILLBOOK_MATRIX": "all", "DRILLBOOK_EXAMPLES": "10000"} if all else {}
    context.run(f"{sys.executable} -m pytest", pty=sys.stdout.isatty(), env=wanted)


CHECKS = ("ruff check .", "ruff format --check .", "mypy", "codespell_lib", "bench.unused")
"""Modules of Python that `invoke check` runs, with their arguments."""


@task
def check(context: Context) -> None:
    """Run ruff, mypy, codespell, vulture and, where it is installed, shellcheck (for people who work on Drillbook)."""
    for module in CHECKS:
        context.run(f"{sys.executable} -m {module}")
    if shutil.which("shellcheck"):
        context.run("git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck")


@task
@told(Dry.REFUSED)
def docs(_: Context, results: bool = False) -> int:
    """Write the generated pages of docs/ anew (for people who work on Drillbook); --results: from the newest runs here."""
    from drillbook.reference import pages  # noqa: PLC0415  imports every action
    from drillbook.reference.handbook import page  # noqa: PLC0415  imports every action

    project = here()
    changed = [*pages.write(project.root / "docs"), *page.write(project, renew=results)]
    sys.stdout.write(f"written: {', '.join(changed)}\n" if changed else "every page is current\n")
    return 0


def namespace() -> Collection:
    """All tasks: `drill`, `drill.list`, `report`, `lab.up` and so on."""
    amend()
    root = Collection()
    groups: dict[str, list[Any]] = {
        "drill": [drill, list_, plan, check_drill, approve, recover, stop],
        "report": [report, verify, list_runs, open_],
        "lab": [up, down, status],
    }
    for name, tasks in groups.items():
        inner = Collection(name)
        for one in tasks:
            inner.add_task(one)
        root.add_collection(inner)
    others: list[Any] = [actions, audit, diagnose, init, schema, trust]
    for one in [*others, *([check, docs, test] if checkout() else [])]:
        root.add_task(one)
    root.configure({"run": {"echo": False}})
    return root


class Drillbook(Offering):
    """The program: usage errors end with status 2, and names of drills are completed."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:  # noqa: A002  invoke's own name
        """Run; see Program."""
        try:
            super().run(argv, exit=False) if not exit else self._strictly(argv)
        except BrokenPipeError:
            Steady(sys.stdout).give_up()
            sys.exit(Exit.BROKEN_PIPE)

    def _strictly(self, argv: list[str] | None) -> None:
        try:
            super().run(argv, exit=True)
        except SystemExit as end:
            if isinstance(end.__context__, ParseError):
                sys.stderr.write("hint: drillbook --list, or drillbook --help TASK\n")
                raise SystemExit(UsageError.exit_status) from None
            raise

    def parse_cleanup(self) -> None:
        """Print names of drills before the names of tasks when a drill is to be completed."""
        if self.args.complete.value:
            words = self.core.remainder.split()[1:]
            if words and (words[-1] in DRILL_TASKS or (len(words) > 1 and words[-2] in DRILL_TASKS)):
                with contextlib.suppress(DrillbookError):
                    sys.stdout.writelines(f"{name}\n" for name in here().drill_names())
        super().parse_cleanup()


DRILL_TASKS = ("drill", "drill.drill", "drill.plan", "drill.check", "drill.approve")


def program() -> Drillbook:
    """The program ``drillbook``: the same tasks in any folder that holds ``drills/`` and ``inventory/``."""
    return Drillbook(name="drillbook", binary="drillbook", version=__version__, namespace=namespace())


def main() -> None:
    """Run the program."""
    program().run()
