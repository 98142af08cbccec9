"""Alerts that a page leaves out: what each asks for, of whom and by when, in its last line."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.audit import brief_steps
from drillbook.audit.alert import Alert, joint_owner
from drillbook.report.open_findings import GRAVE

STEPS = ", with the full steps"
"""Words about the next steps that a page has in a few words only."""
ELSEWHERE = ", with steps and dates"
"""Words about what a page leaves out of its last line if it has no room for it."""


def told(alerts: Sequence[Alert], *, whole: bool = True) -> str:
    """Return the subjects of ``alerts``, and the severities of their findings, each with the next step, the person who takes it, and
    the time limit. The page shows this text in their place. ``whole``: False to leave out everything but the subjects."""
    severe = sorted((alert for alert in alerts if alert.severity), key=lambda alert: GRAVE.index(alert.severity))
    groups: dict[str, list[Alert]] = {}
    for alert in [*severe, *(alert for alert in alerts if not alert.severity)]:
        groups.setdefault(f"with a {alert.severity} finding" if alert.severity else str(alert.topic), []).append(alert)
    return ", ".join(
        f"{_named(subject, group)}{f' ({_asked(group)})' if whole else ''}" for subject, group in groups.items()
    )


def line(alerts: Sequence[Alert], *, brief: bool, whole: bool = True) -> str:
    """Return the last line of a list that leaves out ``alerts``. ``brief``: True if the list has some next steps in a few words only.
    ``whole``: as in ``told``. The line is empty if nothing is left out."""
    if not alerts:
        return "The full next steps are in the audit." if brief else ""
    return f"and {len(alerts)} more, in the audit{beside(brief=brief, whole=whole)}: {told(alerts, whole=whole)}"


def beside(*, brief: bool, whole: bool) -> str:
    """Return words about what is only in the audit; see ``line``."""
    return (STEPS if brief else "") if whole else ELSEWHERE


def _named(subject: str, group: Sequence[Alert]) -> str:
    return f"{len(group)} {subject}" if group[0].severity else subject


def _asked(group: Sequence[Alert]) -> str:
    """Return the next step, the person and the time limit of alerts with the same subject. Different time limits are all named."""
    limits = " or ".join(dict.fromkeys(alert.when for alert in group))
    return f"{brief_steps.PHRASES[group[0].topic]}; {joint_owner(alert.person for alert in group)}; {limits}"
