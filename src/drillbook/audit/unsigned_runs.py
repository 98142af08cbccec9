"""The next step that an audit names for runs without a trusted signature, depending on what is wrong with the signature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drillbook.attestation.signature_check import FORBIDDEN_KEY, UNKNOWN_KEY
from drillbook.attestation.trusted_content import DIED, RUNNING
from drillbook.audit.content import Audit
from drillbook.audit.run_rows import RECOVERED, RunRow
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import leading

TRUST_KEYS = "add the keys that you trust to inventory/allowed_signers"
"""Next step if a key signed a run, but is not trusted."""
REPEAT = "a run that is not signed, or was changed since, must be repeated"
MOST_DIED = 2
"""Largest number of names in the text about runs whose controller died. Further runs are only counted; see ``leading``."""


def next_step(audit: Audit) -> str:
    """Return the next step for the runs without a trusted signature. For a run whose controller died, the text says that its
    record stays incompletely signed. ``_since`` returns the end of that sentence.
    """
    reasons = [text.partition(": ")[::2] for text in audit.assurance.unsigned]
    reasons = [(run, said) for run, said in reasons if said != RUNNING]
    strange = [said for _, said in reasons if said.startswith((FORBIDDEN_KEY, UNKNOWN_KEY))]
    died = [run for run, said in reasons if said == DIED]
    steps = [TRUST_KEYS] if strange else []
    steps += [REPEAT] if len(strange) + len(died) < len(reasons) else []
    return " ".join([*([f"Next: {'; '.join(steps)}."] if steps else []), *_died(audit, died)])


def stays_so(audit: Audit) -> bool:
    """Return True if the controller of a run died. Nobody can sign its record later, so every audit with this run says so."""
    return any(text.partition(": ")[2] == DIED for text in audit.assurance.unsigned)


def _died(audit: Audit, died: Sequence[str]) -> Iterator[str]:
    rows = {row.run: row for row in audit.runs}
    unsigned = {text.partition(": ")[0] for text in audit.assurance.unsigned}
    signed = [row for row in audit.runs if row.verdict == Verdict.PASSED and row.run not in unsigned]
    shown, others = leading(died, MOST_DIED)
    runs_by_end: dict[str, list[tuple[str, str]]] = {}
    for run in shown:
        recovered = rows[run].recovered if run in rows else ""
        since = f" ({RECOVERED}, {recovered[:10]})" if recovered else ""
        runs_by_end.setdefault(_since(rows[run], signed) if run in rows else "", []).append((run, since))
    for end, ((run, since), *more) in runs_by_end.items():
        if more:
            named = f"{', '.join(''.join(each) for each in ((run, since), *more[:-1]))} and {''.join(more[-1])}"
            yield f"The controllers of the runs {named} died, so the records of these runs stay incompletely signed{end}."
        else:
            yield f"The controller of the run {run} died{since}, so the record of this run stays incompletely signed{end}."
    if others:
        runs = "run" if others == 1 else "runs"
        yield f"The same is true for {others} more {runs}, which are listed under 'No trusted signature'."


def _since(row: RunRow, signed: Sequence[RunRow]) -> str:
    """Return the end of the sentence about a run whose controller died.

    If later runs of the same drill passed and are signed, the newest of them is the proof, and no signature is needed.
    Otherwise the text says that the drill must be repeated, because nobody can sign the missing events later.
    """
    later = [
        other
        for other in signed
        if (other.environment, other.drill) == (row.environment, row.drill) and other.started > row.started
    ]
    if not later:
        return f"; only a later run can be signed completely, and be the proof. Next: repeat {row.drill}"
    newest = max(later, key=lambda other: other.started).run
    return f"; no signature can be added later, and none is needed: the proof is the later run {newest}, in which {row.drill} passed"
