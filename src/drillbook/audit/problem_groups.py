"""Problems in the record, grouped for readers. Problems with the same cause are shown once, with the next step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from drillbook.audit.chain import Problem
from drillbook.report.figures import count, one_line, runs_of

RESTORE = "Restore the folders from a backup of `reports/`, and run the audit again."
NEXT = {
    "anchor-missing": (
        "The folders of these runs were removed from `reports/`, or the runs were made in another copy of this "
        f"project that writes the same anchor. {RESTORE} If the runs were made in the other copy, move their folders "
        "from there to this project."
    ),
    "anchor-differs": f"The journal was changed after its anchor was written, or an older copy replaced it. {RESTORE}",
    "missing-run": f"A run or the end of a journal was removed, or the run is on another machine. {RESTORE}",
    "no-journal": f"Without its journal a run proves nothing. {RESTORE}",
    "damaged": f"A damaged journal proves nothing. {RESTORE}",
    "empty": f"The run counts as not verified. {RESTORE}",
    "grown": f"Nobody but Drillbook may write to a journal. {RESTORE}",
    "fork": "Find out who moved the folder or set the clock back. The runs themselves still count.",
    "forward": "Find out who renamed the folder or set the clock back. The runs themselves still count.",
    "moved": "Give each folder the name of the run in its journal again, and run the audit again.",
    "copy": "Keep the folder whose journal `drillbook report.verify` accepts, and remove the other folder.",
    "unjudged": "Read the reason, and ask for the version of Drillbook that made the run.",
    "campaign-damaged": f"The journal of this campaign is damaged, so it does not prove which runs belong to it. {RESTORE}",
    "suite-run": f"A run was removed from the folder of its suite. {RESTORE}",
    "campaign-run": f"A site's run, or the end of its journal, was removed, or the run was not collected yet. {RESTORE}",
}
"""Cause and next step of problems which show that the record of runs may have been changed, or that parts of it are
missing. The key of each entry is the code of the problem."""


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """Problems that an audit shows as one item. They have the same code, and are about anchors in the same place, such as
    one bucket.

    ``runs`` is empty for a group of one problem, because ``text`` already names its run.
    """

    code: str
    breaking: bool
    text: str
    runs: tuple[str, ...]
    next: str
    reasons: tuple[str, ...] = ()
    """Defect of each run in ``runs``, if the runs have different defects. If all have the same defect, ``text`` describes it,
    and this tuple is empty."""


def grouped(problems: Iterable[Problem]) -> list[ProblemGroup]:
    """Group the problems of a record. Problems about anchors of runs form one group if they have the same code and their
    anchors are in the same place. Every other problem is a group by itself, with its own text. The groups are in the order of
    their first problems.
    """
    members_by_key: dict[tuple[str, bool, str], list[Problem]] = {}
    for problem in problems:
        key = (problem.code, problem.breaking, problem.source or f"{problem.text}\n{problem.run}")
        members_by_key.setdefault(key, []).append(problem)
    return _with_next([_group(members) for members in members_by_key.values()])


def _group(members: Sequence[Problem]) -> ProblemGroup:
    head = members[0]
    if len(members) == 1:
        return ProblemGroup(head.code, head.breaking, one_line(head.text), (), "")
    suites = sum(member.code == "anchor-missing" and not member.lost for member in members)
    runs = runs_of(len(members) - suites, suites) if suites else count(len(members), "run")
    text = f"{runs} {_wrong(head.code)} the anchor in {one_line(head.source)}"
    same = head.code == "anchor-missing"
    reasons = () if same else tuple(one_line(member.text.removeprefix(f"{member.run}: ")) for member in members)
    return ProblemGroup(head.code, head.breaking, text, tuple(one_line(member.run) for member in members), "", reasons)


def _wrong(code: str) -> str:
    return "are missing, but are named by" if code == "anchor-missing" else "differ from what is recorded by"


def _with_next(groups: Sequence[ProblemGroup]) -> list[ProblemGroup]:
    """Add the next step to groups. If several groups have the same problem code, only the last of them gets the step."""
    last = {group.code: number for number, group in enumerate(groups) if group.breaking}
    return [
        replace(group, next=NEXT.get(group.code, "") if last.get(group.code) == number else "")
        for number, group in enumerate(groups)
    ]
