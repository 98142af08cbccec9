"""Findings that a report had before the run was recovered, and what became of them. A recovery undoes changes and reads back the
writes of canaries, so the report that a reader saw before has other findings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Set

from drillbook.findings import Finding
from drillbook.judge.recovered_later import RECOVERED
from drillbook.judge.recovery_record import Act, Recovery
from drillbook.judge.result import RunView
from drillbook.language.lists import listed
from drillbook.report.figures import one_line, utc

MOST_PLACES = 3
"""Largest number of steps that are named of one kind of finding."""
Key = tuple[str, str | None, str | None, str]


def sentence(view: RunView) -> str:
    """Return a sentence about the findings that only the report before the recovery had, and those that only this one has. It is
    empty if the recovery changed no finding.
    """
    before, now = (_keys(findings) for findings in (view.own.findings, view.result.findings))
    if not view.recoveries or before == now:
        return ""
    gone = "; ".join(_gone(view, (before - now).elements()))
    new = listed([f"`{one_line(code)}`" for code in dict.fromkeys(key[0] for key in now - before)], MOST_PLACES)
    told = [f"Before the recovery, this report also had: {gone}."] if gone else []
    told += [f"New since {'then' if gone else 'the recovery'}: {new}."] if new else []
    return " ".join(told)


def _keys(findings: Iterable[Finding]) -> Counter[Key]:
    """Count the findings by what identifies them. The title of a finding about a change tells its state, which a recovery changes."""
    return Counter(
        (
            finding.code,
            finding.step,
            finding.host,
            "" if finding.step else finding.title.partition(f"; {RECOVERED}")[0],
        )
        for finding in findings
    )


def _gone(view: RunView, keys: Iterable[Key]) -> Iterator[str]:
    """Yield a clause for each kind of finding that is gone."""
    by_code: dict[str, list[Key]] = {}
    for key in keys:
        by_code.setdefault(key[0], []).append(key)
    for code, alike in by_code.items():
        named = [" on ".join(map(one_line, filter(None, (step, host)))) or one_line(title) for _, step, host, title in alike]
        yield f"`{one_line(code)}` ({listed(named, MOST_PLACES)}): {_outcome(view, code, {key[1] for key in alike})}"


def _outcome(view: RunView, code: str, steps: Set[str | None]) -> str:
    """Return words about what a recovery recorded for findings of one kind. ``steps``: steps and probes of these findings."""
    last = view.recoveries[-1]
    if code == "residue" and last.gone:
        return f"nothing is left to undo, because {one_line(last.gone)}"
    if code == "residue":
        return f"the recovery recorded an undo of each change, or why none was needed{_by(last)}"
    readers = [recovery for recovery in view.recoveries if any(_reads(act, steps) for act in recovery.acts)]
    if readers:
        return f"the recovery read back the writes{_by(readers[-1])}"
    return f"what the recovery recorded answers it{_by(last)}"


def _reads(act: Act, steps: Set[str | None]) -> bool:
    return act.sort == "canary" and act.status == "done" and act.step in steps


def _by(recovery: Recovery) -> str:
    return f", by {utc(recovery.finished)}" if recovery.finished else ""
