"""The invoke tasks. A project's ``tasks.py`` imports `namespace`; the program ``drillbook`` runs the same tasks."""

from __future__ import annotations

import inspect
import os
import re
from typing import Any

from invoke.collection import Collection
from invoke.context import Context

from drillbook.cli import developer_tasks, invoke_mistakes, lab_tasks, metrics_tasks, schedule_tasks
from drillbook.cli.campaign_task import approve as approve_campaign
from drillbook.cli.campaign_task import campaign, collect
from drillbook.cli.catalog_task import catalog
from drillbook.cli.console import end_quietly
from drillbook.cli.current_project import anywhere, here, of_runs
from drillbook.cli.init_task import init
from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.recover_task import RUN, recover
from drillbook.cli.runbook_task import runbook
from drillbook.cli.task_class import task, with_examples
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.cli.trust_task import trust
from drillbook.errors import UsageError
from drillbook.installation.program_name import program
from drillbook.project.project import Project, names_hint

INVENTORY = {"inventory": "name of a file in inventory/, or a path (default: lab, or the only inventory)"}


def _named(project: Project, name: str | None) -> str:
    """Return ``name``. Raises UsageError when it is missing."""
    if not name:
        raise UsageError("the name of a drill or suite is missing", hint=names_hint(project.drill_names()))
    return name


def _assume(answer: str) -> None:
    """Set the answer that manual steps use without asking a person. Raises UsageError unless it is yes, no or empty."""
    if answer not in ("", "yes", "no"):
        raise UsageError(f"--assume must be yes or no, not {answer!r}")
    if answer:
        os.environ["DRILLBOOK_ASSUME"] = answer


@task(
    klass=OptionalNameTask,
    default=True,
    positional=["name"],
    help={
        "name": "drill or suite",
        **INVENTORY,
        "quiet": "print only the verdict and the findings",
        "verbose": "print one line for each step, and the measured times and phases of each drill",
        "json": "print each event as one line of JSON, and the result as the last line",
        "assume": "yes or no: the answer assumed in every manual step, without asking a person",
        "confirm": "name of the environment; required if the environment is protected, or if the guard demands an approval",
        "trace": "send the run's trace to this OpenTelemetry collector, such as http://127.0.0.1:4318",
    },
)
@told(Dry.TELLS)
def drill(
    context: Context,
    name: str | None = None,
    inventory: str = "",
    quiet: bool = False,
    json: bool = False,
    *,
    verbose: bool = False,
    assume: str = "",
    confirm: str = "",
    trace: str = "",
) -> int:
    """Run a drill or a suite. The exit status follows from its verdict."""
    from drillbook.cli import run  # noqa: PLC0415  keeps start-up fast
    from drillbook.cli.run_output import Manner  # noqa: PLC0415  keeps start-up fast

    project = here()
    wanted = _named(project, name)
    if quiet + json + verbose > 1:
        raise UsageError("--quiet, --json and --verbose exclude each other")
    _assume(assume)
    if trace:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = _collector(trace)
    if is_dry(context):
        from drillbook.cli import dry_run  # noqa: PLC0415  keeps start-up fast

        return dry_run.drill(project, wanted, project.inventory_name(inventory), as_json=json)
    manner = Manner.QUIET if quiet else Manner.JSON if json else Manner.FULL if verbose else Manner.BRIEF
    return run.drill(project, wanted, project.inventory_name(inventory), manner, confirm)


def _collector(url: str) -> str:
    if not re.match(r"https?://[^/\s]", url):
        raise UsageError(f"--trace must be the URL of a collector, such as http://127.0.0.1:4318, not {url!r}")
    return url


@task(
    name="list",
    help={"all": "list every drill, not only the most urgent", "json": "print all drills and the open runs as JSON"},
)
@told(Dry.READS)
def list_(_: Context, all: bool = False, json: bool = False) -> int:  # noqa: A002  the name of the flag
    """List drills with their last result and due date, and runs that are in progress or need a recovery."""
    from drillbook.cli import overview  # noqa: PLC0415  keeps start-up fast

    return overview.drills(here(), everything=all, as_json=json)


@task(
    klass=OptionalNameTask,
    positional=["name"],
    help={"name": "drill or suite", **INVENTORY, "json": "print the plan as JSON"},
)
@told(Dry.READS)
def plan(_: Context, name: str | None = None, inventory: str = "", json: bool = False) -> int:
    """Show the plan of a drill with its hosts, steps, undo and guard. Changes nothing; exit 4 when it would be refused."""
    from drillbook.cli import show_plan  # noqa: PLC0415  keeps start-up fast

    project = here()
    return show_plan.plans(project, _named(project, name), project.inventory_name(inventory), as_json=json)


@task(
    klass=OptionalNameTask,
    positional=["name"],
    help={
        "name": "name of a drill or suite; with --reason, name of a run",
        **INVENTORY,
        "until": "duration of the approval, such as 24h; at most 30d",
        "key": (
            "path of your private SSH key, or of the public key if an agent holds the private key; "
            "default: the first key in ~/.ssh"
        ),
        "reason": "with the name of a run: reason why its remaining changes need no undo, so that the run can be closed",
    },
)
@told(Dry.TELLS)
def approve(
    context: Context, name: str | None = None, inventory: str = "", until: str = "24h", key: str = "", *, reason: str = ""
) -> int:
    """Approve the present plan of a drill with your SSH key, so that somebody else may run exactly this plan."""
    from drillbook.cli import close_residue, dry_run, show_plan  # noqa: PLC0415  keeps start-up fast

    if reason:
        project = of_runs()
        return (
            dry_run.recover(project, name or "", closes=True)
            if is_dry(context)
            else close_residue.approve(project, name or "", reason, until, key)
        )
    project = here()
    inventory = project.inventory_name(inventory)
    if is_dry(context):
        return dry_run.drill(project, _named(project, name), inventory)
    return show_plan.approve(project, _named(project, name), inventory, until, key)


@task(
    klass=OptionalNameTask,
    positional=["name"],
    help={
        "name": "drill",
        **INVENTORY,
        "host": "host for which the file is made; default: the only host on which the drill uses `become`",
    },
)
@told(Dry.READS)
def sudoers(_: Context, name: str | None = None, inventory: str = "", host: str = "") -> int:
    """Print a sudoers file that allows exactly the commands that earlier runs of a drill executed by sudo."""
    from drillbook.cli import sudoers as rules  # noqa: PLC0415  keeps start-up fast

    project = here()
    return rules.show(project, _named(project, name), project.inventory_name(inventory), host)


@task(
    klass=OptionalNameTask,
    name="check",
    positional=["name"],
    help={"name": "drill or suite", **INVENTORY, "json": "print the results as JSON"},
)
@told(Dry.TELLS)
def check_drill(context: Context, name: str | None = None, inventory: str = "", json: bool = False) -> int:
    """Check if a drill could begin now; reads only. Exit 0, 2 (an extra or secret is missing), 3 (unknown) or 4 (refused)."""
    from drillbook.cli import dry_run, show_check  # noqa: PLC0415  keeps start-up fast

    project = here()
    inventory = project.inventory_name(inventory)
    if is_dry(context):
        return dry_run.drill(project, _named(project, name), inventory, as_json=json)
    return show_check.show(project, _named(project, name), inventory, as_json=json)


@task(klass=OptionalNameTask, positional=["run"], help={"run": "name of a run; default: every run", **INVENTORY})
@told(Dry.TELLS)
def stop(context: Context, run: str | None = None, inventory: str = "") -> int:
    """Stop a run on this machine or on any other machine that uses the same targets. The run first undoes its changes."""
    from drillbook.cli import dry_run, stop  # noqa: PLC0415  loads the SSH client

    project = here(spare=True)
    if is_dry(context):
        return dry_run.stop(project, run or "", project.inventory_name(inventory))
    return stop.stop(project, run or "", project.inventory_name(inventory))


@task(klass=OptionalNameTask, default=True, positional=["run"], help={"run": f"{RUN}; default: the newest"})
@told(Dry.TELLS)
def report(context: Context, run: str | None = None) -> int:
    """Render a run's reports again from its journal."""
    from drillbook.cli import render  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        from drillbook.cli import dry_run  # noqa: PLC0415  keeps start-up fast

        return dry_run.report(of_runs(), run or "")
    return render.report(of_runs(), run or "")


@task(
    klass=OptionalNameTask,
    positional=["run"],
    help={"run": f"{RUN}, or a suite; default: the newest run", "json": "print the checks as JSON"},
)
@told(Dry.READS)
def verify(_: Context, run: str | None = None, json: bool = False) -> int:
    """Verify the folder of a run: hash chain, signature, files, reports. Exit 0, 1 (wrong), 3 (could not be verified)."""
    from drillbook.cli import verify  # noqa: PLC0415  keeps start-up fast

    return verify.verify(of_runs(), run or "", as_json=json)


@task(name="list", help={"all": "list every run, not only the newest", "json": "print the runs as JSON"})
@told(Dry.READS)
def list_runs(_: Context, all: bool = False, json: bool = False) -> int:  # noqa: A002  the name of the flag
    """List runs, newest first, with verdict, RTO and name, and on a wide terminal also start and duration."""
    from drillbook.cli import overview  # noqa: PLC0415  keeps start-up fast

    return overview.runs(of_runs(), everything=all, as_json=json)


@task(klass=OptionalNameTask, name="open", positional=["run"], help={"run": f"{RUN}; default: the newest"})
@told(Dry.TELLS)
def open_(context: Context, run: str | None = None) -> int:
    """Open a run's report in the browser, or print its path when there is no browser."""
    from drillbook.cli import render  # noqa: PLC0415  keeps start-up fast

    if is_dry(context):
        from drillbook.cli import dry_run  # noqa: PLC0415  keeps start-up fast

        return dry_run.open_report(of_runs(), run or "")
    return render.open_report(of_runs(), run or "")


@task(
    help={
        "since": "first day, such as 2026-01-01; default: the current quarter",
        "until": "last day; needed with --since",
        "out": "folder for the report",
        "anchor": "compare journals with the anchors in this file or in s3://bucket/prefix; default: the file in "
        "your state folder, and the places in DRILLBOOK_ANCHOR",
    }
)
@told(Dry.TELLS)
def audit(context: Context, since: str = "", until: str = "", out: str = "", anchor: str = "") -> int:
    """Write the audit report of a period: every run in it, coverage, objectives, findings."""
    from drillbook.cli import audit  # noqa: PLC0415  keeps start-up fast

    return audit.audit(of_runs(), since, until, out, anchor, dry=is_dry(context))


@task(
    klass=OptionalNameTask,
    positional=["service"],
    help={
        "service": "service of the inventory; default: every service that should be running",
        **INVENTORY,
        "within": "time limit of all checks together, such as 20s",
        "json": "print the whole diagnosis as JSON",
        "verbose": "show all observations, and name every check that did not run",
        "apply": "ask for a confirmation, then execute the remedy of the likeliest cause as a run, and exit with its status",
        "assume": "yes or no: the answer assumed without asking a person",
        "confirm": "name of the environment",
    },
)
@told(Dry.READS)
def diagnose(
    context: Context,
    service: str | None = None,
    inventory: str = "",
    *,
    within: str = "20s",
    json: bool = False,
    verbose: bool = False,
    apply: bool = False,
    assume: str = "",
    confirm: str = "",
) -> int:
    """Find the cause of an incident. Exit 0 (healthy), 1 (a cause was found), 3 (unknown). --apply: the remedy's exit status."""
    from drillbook.cli import diagnose  # noqa: PLC0415  keeps start-up fast

    if json and apply:
        raise UsageError("--json and --apply exclude each other")
    if apply and is_dry(context):
        raise UsageError("--dry and --apply exclude each other", hint="omit --apply: then nothing is changed")
    _assume(assume)
    project = here()
    inventory = project.inventory_name(inventory)
    return diagnose.diagnose(
        project, service or "", inventory, within, as_json=json, verbose=verbose, apply=apply, confirm=confirm
    )


@task(klass=OptionalNameTask, positional=["kind"], help={"kind": "drill, inventory or tree"})
@told(Dry.READS)
def schema(_: Context, kind: str | None = None) -> int:
    """Print the JSON Schema of drills, inventories or diagnosis trees, for editors."""
    from drillbook.cli import schema  # noqa: PLC0415  imports every action

    anywhere()
    return schema.show(kind or "")


@task(
    klass=OptionalNameTask,
    positional=["name"],
    help={"name": "an action or a probe; default: all", "json": "print them as JSON"},
)
@told(Dry.READS)
def actions(_: Context, name: str | None = None, json: bool = False) -> int:
    """Show the reference of actions and probes."""
    from drillbook.cli import tables  # noqa: PLC0415  keeps start-up fast

    anywhere()
    return tables.actions(name or "", as_json=json)


def namespace() -> Collection:
    """Return the namespace that contains all tasks, such as `drill`, `drill.list`, `report` and `lab.up`."""
    end_quietly()
    root = Collection()
    groups: dict[str, list[Any]] = {
        "drill": [drill, list_, schedule_tasks.due, plan, check_drill, approve, sudoers, recover, stop],
        "report": [report, verify, list_runs, open_],
        "schedule": [schedule_tasks.run_due, schedule_tasks.install, schedule_tasks.remove, schedule_tasks.retire],
        "campaign": [campaign, approve_campaign, collect],
        "metrics": [metrics_tasks.write, metrics_tasks.files],
        "lab": [lab_tasks.up, lab_tasks.down, lab_tasks.status],
    }
    for name, tasks in groups.items():
        inner = Collection(name)
        for member in tasks:
            inner.add_task(member)
        root.add_collection(inner)
    others: list[Any] = [actions, audit, catalog, diagnose, init, runbook, schema, trust]
    for member in [*others, *(developer_tasks.TASKS if developer_tasks.checkout() else [])]:
        root.add_task(member)
    check = invoke_mistakes.checked(root) if invoke_mistakes.is_invoke() else None
    for path, aliases in root.task_names.items():
        named = root[path]
        named.before_parsing = check
        named.__doc__ = with_examples(inspect.getdoc(named.body) or "", (*aliases, path)[0], program())
        if isinstance(named, OptionalNameTask):
            named.paths = (path, *aliases)
    root.configure({"run": {"echo": False}})
    return root
