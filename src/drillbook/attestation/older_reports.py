"""Verification of reports that another version of Drillbook rendered.

The words of reports differ between versions. Therefore the files are not rendered again, but only compared with the attested
digests. Figures must be the same in all versions. Therefore the stored ``result.json`` is also compared with the result that
this version derives from the journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from drillbook.attestation import format as form
from drillbook.attestation.format import Statement
from drillbook.journal.run_files import RESULT
from drillbook.journal.run_state import RunState


def unlike(state: RunState, wanted: dict[str, str], sealed: Statement) -> list[str]:
    """Return a list with one message if the stored reports contradict the attestation or the journal, and otherwise an
    empty list. The message names every file or key that differs.

    ``wanted``: texts of the reports that this version renders from the journal. The key is the name of the file.
    """
    known = dict(form.signed_names(sealed))
    there = [
        name for name in wanted if name in known or (state.folder / name).exists()
    ]  # the other version may render fewer
    if unsigned := [name for name in there if not form.same(state, name, known.get(name, ""))]:
        return [f"not as attested: {', '.join(unsigned)}"]
    if RESULT not in there:
        return []
    try:
        stored = state.result.current().parsed()
    except (OSError, ValueError):
        return [f"{RESULT} cannot be read"]
    differing = [*differences(stored, json.loads(wanted[RESULT]))]
    return [f"{RESULT} differs from the journal in: {', '.join(differing)}"] if differing else []


def differences(stored: Any, now: Any, path: str = "") -> Iterator[str]:
    """Yield the keys whose values differ between the results ``stored`` and ``now``. A value that is a sentence is not
    compared, because versions may word a sentence differently.

    A sentence is a text that contains a space. Names, codes, times, numbers and verdicts contain no space. A key that
    only ``now`` has is not reported, because newer versions add keys.
    """
    if isinstance(stored, dict) and isinstance(now, dict):
        for key, value in stored.items():
            place = f"{path}.{key}" if path else key
            if key in now:
                yield from differences(value, now[key], place)
            else:
                yield place
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for number, (before, after) in enumerate(zip(stored, now, strict=True)):
            yield from differences(before, after, f"{path}[{number}]")
    elif stored != now and not (_worded(stored) and _worded(now)):
        yield path


def _worded(value: Any) -> bool:
    return isinstance(value, str) and " " in value
