"""Alerts for the summary for management. Each drill has at most one alert. The page may leave out the last alerts. Alerts
about services that were never drilled are therefore moved up if they stand too far down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drillbook.audit.alert import AT_ONCE, Alert, Topic, drill_key, joint_owner
from drillbook.audit.alert_causes import alerts
from drillbook.audit.content import Audit
from drillbook.report.figures import count

MOST_TEXTS, MOST_LETTERS = 3, 165
"""Two limits for one alert: number of drills that the alert names, and number of characters in its text."""


def of(audit: Audit, least: int) -> list[Alert]:
    """Return the alerts of ``audit``, the most urgent first. Each drill has at most one alert about itself.

    ``least``: number of alerts that the page always shows. Normally, each drill that must run again has its own alert. All
    these drills share one alert in two cases: there are more than ``least`` of them, or their own alerts would leave an
    alert about services that were never drilled outside of the first ``least`` alerts.
    """
    told = {alert.about for alert in alerts(audit) if alert.about}
    shown = [_with_state(audit, alert) for alert in _by_drill(list(alerts(audit, told)))]
    if _last_never(shown) >= least or sum(alert.topic is Topic.RUN_AGAIN for alert in shown) > least:
        shown = _with_one_for_all(shown)
    never = [alert for alert in shown if alert.topic is Topic.NEVER_DRILLED]
    if _last_never(shown) >= least:
        others = [alert for alert in shown if alert.topic is not Topic.NEVER_DRILLED]
        place = max(1, least - len(never))
        shown = [*others[:place], *never, *others[place:]]
    return shown


def _last_never(shown: Sequence[Alert]) -> int:
    """Return the index of the last alert about services that were never drilled, or -1."""
    return max((number for number, alert in enumerate(shown) if alert.topic is Topic.NEVER_DRILLED), default=-1)


def _by_drill(shown: Sequence[Alert]) -> list[Alert]:
    """Join the alerts about the same drill to the first of them."""
    alert_by_drill: dict[str, Alert] = {}
    for number, alert in enumerate(shown):
        key = alert.about or str(number)
        first = alert_by_drill.get(key)
        alert_by_drill[key] = _joined(first, alert) if first else alert
    return list(alert_by_drill.values())


def _with_state(audit: Audit, alert: Alert) -> Alert:
    """Return ``alert``. If the drill of the alert meets an RPO only with a reservation, add this state of the RPO to the
    text."""
    goals = [goal for goal in audit.proven if goal.reserved and alert.about == drill_key(goal.drill, goal.environment)]
    return replace(alert, text="; ".join([alert.text, *(f"its RPO is {goal.said}" for goal in goals)]))


def _joined(first: Alert, second: Alert) -> Alert:
    """Join two alerts about the same drill to one. Normally the joined text is the text of ``first``, then the text of
    ``second``. There is one exception: ``second`` is about the verdict of a run. Then the joined text is this verdict without
    its reason, and after it the text of ``first``. The next step is that of ``first``.
    """
    verdict = second.text.partition(": ")[0]
    text = f"{first.text}; {second.text.removeprefix(f'{second.about} ')}"
    if second.topic is Topic.RUN_AGAIN and verdict.startswith(second.about):
        text = f"{verdict}; {first.text.removeprefix(f'{first.about} ')}"
    return replace(first, text=text, run=first.run or second.run)


def _with_one_for_all(shown: Sequence[Alert]) -> list[Alert]:
    """Join the alerts which say that a drill must run again. The joint alert takes the place of the first of them. A single
    alert of this kind stays as it is.
    """
    again = [alert for alert in shown if alert.topic is Topic.RUN_AGAIN and alert.about]
    if len(again) < 2:
        return list(shown)
    text = _named(f"{count(len(again), 'drill')} must run again", [_outcome(alert) for alert in again])
    who = joint_owner(alert.who for alert in again)
    stopped = all(alert.stopped for alert in again)
    step = "run the drills again" if stopped else "mend the causes, which the audit names, and run the drills again"
    joined = Alert(text, step, who, AT_ONCE, topic=Topic.RUN_AGAIN)
    return [joined if alert is again[0] else alert for alert in shown if alert is again[0] or alert not in again]


def _outcome(alert: Alert) -> str:
    """Return the name of the drill of ``alert`` with its verdict, or with another reason why the drill must run again."""
    outcome = alert.text.partition(": ")[0].partition("; ")[0]
    return outcome if outcome.startswith(alert.about) else f"{alert.about} has an objective that is not proven"


def _named(lead: str, items: Sequence[str]) -> str:
    """Return a text: ``lead``, then as many of ``items`` as there is room for, and the number of the others. The text contains
    at least one item.
    """
    for number in range(min(MOST_TEXTS + 1, len(items)), 0, -1):
        others = len(items) - number
        more = f"; and {others} more" if others else ""
        text = f"{lead}: {'; '.join(items[:number])}{more}"
        if len(text) <= MOST_LETTERS and (number <= MOST_TEXTS or not others):
            break
    return text
