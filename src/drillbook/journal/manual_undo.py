"""What a person can do by hand where an undo did not work: the commands themselves, on the host that they belong to."""

from __future__ import annotations

import json
import shlex

from drillbook.journal.intents import Intent

PAGE = "docs/safety.md, `What lies on a target, and clearing it by hand`"


def by_hand(intent: Intent) -> str:
    """The steps that put ``intent`` back without Drillbook; `invoke drill.recover` is named beside them, not in them."""
    undo, host = intent.undo, intent.host
    if undo.kind == "commands":
        return "\n".join([f"on {host}, in this order:", *(shlex.join(argv) for argv in undo.commands)])
    if undo.kind == "action":
        params = json.dumps(undo.params, ensure_ascii=False, sort_keys=True)
        return (
            f"on {host}, do what {undo.action} does, with {params};\n"
            f"`invoke actions {undo.action}` says what that is, and a drill with this one step does it"
        )
    if undo.kind == "restore":
        return (
            f"on {host}, restore the service from its newest verified backup as your own runbook says: {undo.why};\n"
            "where that backup lies stands in the facts of the backup steps, `location`"
        )
    return (
        f"on {host}, look at what the step did (its parameters and commands are in the report) and put it back: {undo.why}"
    )
