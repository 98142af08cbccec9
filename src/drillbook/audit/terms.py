"""Terms that the audit page explains: the groups of services, and words of the page that not every reader knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from drillbook.audit import limits
from drillbook.audit.alert_causes import listed
from drillbook.audit.content import Audit
from drillbook.report.figures import DOWNWARDS

WORDS = (
    (
        "Anchor",
        r"\banchors?\b",
        (
            "A copy of the number of events and of the last hash of a run's journal, kept outside of the folder of runs, with "
            "which the audit compares the journal."
        ),
    ),
    (
        "Canary",
        r"(?<![.\w])canary\b",
        "Numbered writes that a drill sends to a service, and looks for after the recovery, to measure the loss of data.",
    ),
    (
        "Controller",
        r"\bcontroller\b",
        "The program that runs a drill and writes its journal, on the machine whose clock gives the times.",
    ),
    (
        f"{DOWNWARDS}…",
        re.escape(DOWNWARDS),
        (
            f"The error of a figure such as 7 s {DOWNWARDS}0.2 s: the true value is not larger than the figure, and at most "
            "0.2 s smaller."
        ),
    ),
)
"""Words with the patterns that find them in the texts of an audit, and with their explanations."""


def terms(audit: Audit, rules: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return ``rules``, the explanations of the groups of services, and those of the words that the audit uses."""
    texts = "\n".join(_texts(audit))
    return [*rules, *((word, meaning) for word, pattern, meaning in WORDS if re.search(pattern, texts, re.IGNORECASE))]


def _texts(audit: Audit) -> Iterator[str]:
    """Return the texts of the audit in which these words occur."""
    yield from limits.limits(audit)
    for alert in listed(audit):
        yield f"{alert.text} {alert.action}"
    for finding in audit.shown_findings:
        yield f"{finding.title} {finding.told}"
    for run in audit.runs:
        yield f"{run.rto} {run.rpo_told}"
    yield from (run.reason for run in audit.not_passed)
    for row in audit.proven:
        yield " ".join((row.measured, row.told, *row.notes))
    for item in audit.rehearsed:
        yield f"{item.restored} {item.lost}"
