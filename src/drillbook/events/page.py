"""Generator of `docs/journal.md`: a text about the format, then a section for each kind of event, made from its model."""

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

`reports/<run-id>/journal.jsonl` is the append-only record of a run. One canonical JSON object a line (RFC 8785):

    {"seq": 0, "at": "2026-01-01T00:00:00.000000Z", "clock": 0.0, "kind": "...", "step": "...", "host": "...",
     "data": {...}, "prev": "sha256:...", "hash": "sha256:..."}

- `seq` counts from 0. `at` is the controller's wall clock in UTC. `clock` is seconds on the controller's monotonic
  clock since the run began; only differences within one session (between `run.started` or `recovery.started` and
  the next of them) mean anything.
- `hash` is SHA-256 over the canonical object without `hash`; `prev` is the hash of the line before, and on the
  first line the head of the project's run before this one, or `null`.
- A torn last line (power loss) is tolerated and reported; a recovery moves it into a file `torn-<offset>` beside the
  journal. Any other break is an error that names the line. A tail that was cut off whole shows in the attestation, and
  in the next run.

Before a step that writes or breaks something, an `intent` with its parameters, its target and its undo is appended
and fsynced. An intent without an outcome means *unknown* and is treated as if it had happened. A fault that commands
undo is then armed on its target (`lease.armed`) before it is injected.

## Kinds of events

Under each kind stands when it is written, and which of `step` and `host` it names. A field in *italics* may be absent:
older journals lack it, or it has nothing to say. Kinds and fields of a newer version are kept as they are.
"""

TAIL = """\
Locks, leases and guards: [safety](safety.md).

## The trace

With `invoke drill --trace http://127.0.0.1:4318`, or with `OTEL_EXPORTER_OTLP_ENDPOINT` set (and `pip install
drillbook[otel]`), a run is also an OpenTelemetry trace, made from the journal once the run has ended and sent by OTLP
over HTTP: a span for the drill, each phase, step, host of a step, and probe; all other events are events of the span they
belong to, without what targets printed. Ids follow from the run's name, so the requests of probes and of `http.*` carry
the W3C header `traceparent` of their span while the run goes on. A collector that is down costs ten seconds at the very
end, and is told as `trace.missed`; it changes nothing else. The run of a suite is one trace: a span for the suite, and in
it those of its drills.

## The attestation

`attestation.json` beside the journal says what the run left: `run`, `verdict`, `exit`, `operator`, `plan_digest`,
`events` and `head` (number and hash of the journal's last event), `previous_head`, and `files`, each with its
SHA-256. `at`, `attested_by`, `tool`, `occasion` (`begin` `inject` `run` `recovery` `settlement` `report`), `key` (or
`unsigned` and why) and `previous_attestation` tell of the attestation itself. `attestation.json.sig` is its signature by
`ssh-keygen -Y`, namespace `drillbook-attestation`. `invoke report.verify [RUN]` checks both, the journal line by line,
every file, and renders the reports again:

| exit | when |
|---|---|
| 0 | all of it is as it was signed |
| 1 | something is wrong; the line or the file is named |
| 3 | nothing is wrong, and something could not be shown: no signature, a key that nobody vouches for, no ending |

A run that goes on has one of the occasion `begin` or `inject`, without verdict and files: it vouches for the first `events`
events. `unvouched` (first and last number of events) and `unvouched_files` name what a recovery found and nobody vouches
for.

What a signature shows and what not, and where keys lie: [safety](safety.md#signed-attestation).
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
    """The whole page as Markdown, without the line that marks generated pages."""
    parts = [FORMAT]
    for module in (runs, steps, probes, holds, campaigns):
        parts.append(f"### {_title(module)}\n")
        parts += [_kind(model) for model in KINDS.values() if model.__module__ == module.__name__]
    return "\n".join([*parts, TAIL])


def _title(module: ModuleType) -> str:
    return str(inspect.getdoc(module)).partition(":")[0].partition(";")[0].rstrip(".")


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
    """Name of the JSON type of a field annotated ``annotation``, such as ``number`` or ``list``."""
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_form(one) for one in get_args(annotation)))
    return WORDS[get_origin(annotation) or annotation]
