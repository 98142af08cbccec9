"""Instructions to undo a change by hand, after its undo failed. They name the host, and tell which commands to run there, or
which work to do there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from drillbook.events.event import Event, each
from drillbook.events.first_event import opening
from drillbook.events.steps import BackupProven, SourceProven
from drillbook.journal.intents import Intent
from drillbook.plan.plan import Plan
from drillbook.plan.step_roles import data_host

PAGE = "the documentation, page `Safety`, `Files on a target, and removing them by hand`"


def by_hand(intent: Intent) -> str:
    """Return instructions to undo ``intent`` without Drillbook, from the announcement alone. The caller also suggests
    `invoke drill.recover`. `result.json` has these words, also of runs without a recorded end, so they never change; reports have
    those of ``in_full``.
    """
    undo, host = intent.undo, intent.host
    if undo.kind == "commands":
        as_account = f" as {intent.become}" if intent.become else ""
        return "\n".join([f"on {host}{as_account}, in this order:", *(shlex.join(argv) for argv in undo.commands)])
    if undo.kind == "action":
        params = json.dumps(undo.params, ensure_ascii=False, sort_keys=True)
        return (
            f"on {host}, do the work of the action {undo.action} with {params};\n`invoke actions {undo.action}` "
            "describes it, and a drill with this single step runs it"
        )
    if undo.kind == "restore":
        return (
            f"on {host}, restore the service from its newest verified backup as your own runbook describes: "
            f"{undo.why};\nto find "
            "that backup, read the fact `location` of the steps that took backups"
        )
    return (
        f"on {host}, find out what the step did (the report has its parameters and commands) and undo its work by "
        f"hand: {undo.why}"
    )


def in_full(intent: Intent, plan: Plan, events: Sequence[Event]) -> str:
    """Return instructions to undo ``intent`` with everything that the journal knows about it.

    For a change that only a restore undoes, the text names the host of the data and the backup that the run verified. For a
    change that an action undoes, it has the commands that write and run a drill with this action, or words about such a drill
    if its parameters contain an expression. For any other change, the text is that of ``by_hand``.
    """
    match intent.undo.kind:
        case "restore":
            return _restore(intent, plan, events)
        case "action" if "{{" in json.dumps(intent.undo.params):  # the drill would evaluate it
            return _action(intent)
        case "action":
            return _drill(intent, plan, events)
    return by_hand(intent)


def _action(intent: Intent) -> str:
    undo, params = intent.undo, json.dumps(intent.undo.params, ensure_ascii=False, sort_keys=True)
    return (
        f"on {intent.host}, do the work of the action {undo.action} with {params}: a drill with this single step does it;\n"
        f"to read how a drill writes this step: `invoke actions {undo.action}`"
    )


def _restore(intent: Intent, plan: Plan, events: Sequence[Event]) -> str:
    service = str(intent.params.get("service") or "")
    data = f"the data of {service}" if service else "the data"
    backup = _verified(intent, events)
    run = opening(events).run
    again = f"`invoke drill.recover {run} --from-backup` does this, without the drill's own restore;\n" if backup else ""
    return (
        f"on {data_host(plan.inventory, intent.step, intent.host)}, restore {data} from "
        f"{backup or 'its newest verified backup (the journal names none that this run verified)'}: {intent.undo.why};\n"
        f"{again}`invoke runbook {plan.drill}{_inventory(events)}` tells the restore steps of the drill, to follow them by hand"
    )


def _verified(intent: Intent, events: Sequence[Event]) -> str:
    """Return words for the backup that the run verified right before the change, or an empty text if it verified none."""
    for event, own in each(events, BackupProven):
        if event.step == intent.step.id:
            return f"{own.location}, the backup that this run verified"
    for event, source in each(events, SourceProven):
        if event.step == intent.step.id:
            return f"{source.backup} of {source.source}, the backup that this run verified"
    return ""


def _drill(intent: Intent, plan: Plan, events: Sequence[Event]) -> str:
    """Return commands that write a drill with the undo of ``intent``, and run it. A drill that only restores may run although
    the run left changes.
    """
    undo, name = intent.undo, f"undo-{intent.step.id.replace('.', '-')}"
    params = json.dumps(undo.params, ensure_ascii=False, sort_keys=True)
    hosts = [] if "service" in undo.params else [f"    hosts: {intent.host}"]
    return "\n".join(
        [
            f"for {data_host(plan.inventory, intent.step, intent.host)}, on this machine in the folder of the project, in this order:",
            f"cat > drills/{name}.yml <<'END'",
            f"drill: {name}",
            f"title: Undo {intent.step.id} of {opening(events).run}",
            f"service: {plan.service}",
            f"guard: {{environments: [{plan.inventory.environment}]}}",
            "restore:",
            f"  - {undo.action}: {params}",
            *hosts,
            "END",
            f"invoke drill {name}{_inventory(events)}",
        ]
    )


def _inventory(events: Sequence[Event]) -> str:
    """Return the command line option for the inventory of the run. It is empty if the journal does not record its name."""
    name = opening(events).inventory
    return f" --inventory {shlex.quote(name)}" if name else ""
