"""Generator of `docs/journal.md`.

The page begins with a text about the format. A section for each kind of event follows, made from its model.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Union, get_args, get_origin

from drillbook.events import campaigns, holds, probes, runs, steps
from drillbook.events.content import Content
from drillbook.events.kinds import KINDS

FORMAT = """\
# The journal

`reports/<run-id>/journal.jsonl` is the append-only record of a run. Each line is one canonical JSON object (RFC 8785):

    {"seq": 0, "at": "2026-01-01T00:00:00.000000Z", "clock": 0.0, "kind": "...", "step": "...", "host": "...",
     "data": {...}, "prev": "sha256:...", "hash": "sha256:..."}

- `seq` counts the events from 0. `at` is the time of the controller's wall clock in UTC. `clock` is the time since the
  run began, in seconds on the controller's monotonic clock. A session lasts from `run.started` or `recovery.started` to
  the next of these two events. Only values of `clock` in the same session can be compared.
- `hash` is the SHA-256 digest of the canonical object without the field `hash`. `prev` is the hash of the line before.
  On the first line, `prev` is the hash of the last event of the project's previous run, or `null`.
- After a power loss, the last line may be incomplete. This is tolerated and reported, and a recovery moves the line into
  a file `torn-<offset>` next to the journal. Any other damage is an error that names the line. If complete lines were
  removed at the end, the attestation and the next run show it.

Before a step that writes or breaks something, an `intent` is appended and flushed to the disk. It contains the
parameters of the step, its target and its undo. If no later event tells the outcome of an intent, the outcome is
*unknown*, and the change is treated as made. If commands can undo a fault, its undo is armed on the target
(`lease.armed`) before the fault is injected.

## Kinds of events

The text of each kind says when the event is written, and whether it names a `step` or a `host`. A field in *italics* may
be absent, because older journals do not have it, or because it has no value in this event. Kinds and fields that a newer
version wrote are preserved.
"""

TAIL = """\
Locks, leases and guards: [safety](safety.md).

## The trace

A run can also be sent as an OpenTelemetry trace. This needs `pip install './drillbook-1.0.0-py3-none-any.whl[otel]'`, and either
`invoke drill --trace http://127.0.0.1:4318` or the variable `OTEL_EXPORTER_OTLP_ENDPOINT`. The trace is made from the
journal once the run has ended, and is sent by OTLP over HTTP. It has a span for the drill, and for each phase, each step,
each host of a step, and each probe. All other events are events of the span that they belong to; output of targets is
left out. The ids are derived from the name of the run. Therefore requests of probes and of `http.*` can carry the W3C
header `traceparent` of their span while the run goes on. A collector that does not answer costs ten seconds at the end of
the run, and is recorded as `trace.missed`. It has no other effect. The run of a suite is one trace, with a span for the
suite that contains the spans of its drills.

## The attestation

`attestation.json` next to the journal states what the run left: `run`, `verdict`, `exit`, `operator`, `plan_digest`,
`events` and `head` (number and hash of the journal's last event), `previous_head`, and `files`, each with its
SHA-256. The fields `at`, `attested_by`, `tool`, `occasion` (`begin` `inject` `run` `recovery` `settlement` `report`), `key`
(or `unsigned`, which is the reason) and `previous_attestation` describe the attestation itself.
`attestation.json.sig` is its signature by `ssh-keygen -Y` in the namespace `drillbook-attestation`.
`invoke report.verify [RUN]` checks the attestation and the signature, the journal line by line, and every file. It also
renders the reports again:

| exit | when |
|---|---|
| 0 | everything is as it was signed |
| 1 | something is wrong; the message names the line or the file |
| 3 | nothing is wrong, but something could not be shown: there is no signature, nobody vouches for the key, or the run has no end |

The attestation of a run that has not ended has the occasion `begin` or `inject`, and no verdict and no files. It vouches
for the first `events` events. `unvouched` (the numbers `seq` of the first and last of these events) and `unvouched_files` name
what a recovery found and nobody vouches for.

What a signature shows, what it does not show, and where the keys are stored: [safety](safety.md#signed-attestation).
"""

WORDS = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    dict: "object",
    tuple: "list",
    type(None): "null",
}


def page() -> str:
    """Return the whole page as Markdown, without the line that marks generated pages."""
    parts = [FORMAT]
    for module in (runs, steps, probes, holds, campaigns):
        parts.append(f"### {_title(module)}\n")
        parts += [_kind(model) for model in KINDS.values() if model.__module__ == module.__name__]
    return "\n".join([*parts, TAIL])


def _title(module: ModuleType) -> str:
    return str(inspect.getdoc(module)).splitlines()[0].partition(":")[0].rstrip(".")


def _kind(model: type[Content]) -> str:
    said = " ".join(str(inspect.getdoc(model)).split())
    where = f" Names {model.PLACE}." if model.PLACE else ""
    rows = "".join(f"| {name} | {form} | {meaning} |\n" for name, form, meaning in _fields(model))
    table = f"\n| field | | meaning |\n|---|---|---|\n{rows}" if rows else ""
    return f"#### `{model.KIND}`\n\n{said}{where}\n{table}"


def _fields(model: type[Content]) -> Iterator[tuple[str, str, str]]:
    inherited = {name for base in model.__bases__ if issubclass(base, Content) for name in base.model_fields}
    own = [name for name in model.model_fields if name not in inherited]
    for name in (*own, *(name for name in model.model_fields if name in inherited)):
        info = model.model_fields[name]
        shown = f"`{info.serialization_alias or name}`"
        yield shown if info.is_required() else f"*{shown}*", _form(info.annotation), str(info.description)


def _form(annotation: Any) -> str:
    """Return the name of the JSON type of a field, such as ``number`` or ``list``.

    ``annotation``: the annotation of the field.
    """
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_form(member) for member in get_args(annotation)))
    return WORDS[get_origin(annotation) or annotation]
