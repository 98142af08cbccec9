"""Instructions to undo a change by hand, after its undo failed. They name the host, and tell which commands to run there, or
which work to do there."""

from __future__ import annotations

import json
import shlex

from drillbook.journal.intents import Intent

PAGE = "the documentation, page `Safety`, `Files on a target, and removing them by hand`"


def by_hand(intent: Intent) -> str:
    """Return instructions to undo ``intent`` without Drillbook. The caller also suggests `invoke drill.recover`."""
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
