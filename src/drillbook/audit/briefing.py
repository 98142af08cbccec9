"""Alerts for the summary for management. Each drill has at most one alert. The page may leave out the last alerts. Therefore,
open findings about lost data come first, then everything to do at once, and services that were never drilled."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from drillbook.audit import lost_amounts
from drillbook.audit.alert import (
    NEXT_RUN,
    NEXT_RUNS,
    NOT_AT_ONCE,
    SEVERE,
    UNDO,
    Alert,
    Topic,
    drill_key,
    joint_owner,
    urgency,
)
from drillbook.audit.alert_causes import alerts
from drillbook.audit.content import Audit
from drillbook.audit.gone_files import GONE, RETIRE_THOSE
from drillbook.audit.objective_states import ProvenRow
from drillbook.audit.run_rows import RECOVERED
from drillbook.installation.program_name import as_called
from drillbook.judge.verdicts import CONTROLLER_DIED
from drillbook.report.consequences import STOPPED_BY
from drillbook.report.figures import count
from drillbook.report.folders import begun
from drillbook.report.open_findings import GRAVE
from drillbook.report.shortened import shortened

MOST_TEXTS, MOST_LETTERS = 3, 185
"""Two limits for one alert: number of drills that the alert names, and number of characters in its text."""
LAST = NOT_AT_ONCE + 2
"""Place, in the order of ``urgency``, of the alerts that a page may leave out."""
LOST = "lost data"
DIED = CONTROLLER_DIED.partition(", ")[0]
"""Beginning of the reason of a run whose controller died."""
RUN_AGAIN = "run the drills again"
MEND = f"mend what the audit names, and {RUN_AGAIN}"
"""Next step of several drills that share an alert."""
_STOPPED = re.compile(rf"{re.escape(STOPPED_BY)}(a person|SIG[A-Z]+|a request|the file)")
"""Pattern of the reason of a stopped run. Its group tells who or what stopped it."""
_EARLIER = re.compile(rf"(; {LOST} in \d+ earlier runs?): [^;]+(?=;|$)")
"""Pattern of a clause about earlier runs, with the amounts of their losses after the group."""
NO_CAUSE = " (those that were stopped need no correction)"
"""Remark after ``MEND`` if some of the drills were stopped by a person or a signal."""


def of(audit: Audit, least: int) -> list[Alert]:
    """Return the alerts of ``audit``, the most urgent first. Each drill has at most one alert about itself.

    The order is that of ``alert.urgency``, so no alert that asks for something at once is behind a less urgent one.

    ``least``: number of alerts that the page always shows. Normally, each drill has its own alert. The drills that must run
    again share one alert in two cases: there are more than ``least`` of them, or their own alerts would leave an alert that
    the page needs outside of the first ``least`` alerts. If this is not enough, the passed drills that lost data share an alert,
    then all drills that must run again, also those that lost data, and then those that passed with severe findings. A drill
    whose newest run lost data of its service keeps its own alert, with the amount. If the page would need twice as many alerts as
    ``least``, such drills share one, and then the drills that left changes. Only alerts with the same time limit are joined.
    """
    told = {alert.about for alert in _by_drill(list(alerts(audit))) if alert.about and _same_run(audit, alert)}
    shown = sorted((_with_state(audit, alert) for alert in _by_drill(_without_runs(audit, told))), key=urgency)
    alone = shown
    if needed(shown) > least or sum(alert.topic is Topic.RUN_AGAIN for alert in shown) > least:
        shown = _with_one_for_all(alone)
    if needed(shown) > least:
        shown = _with_one_for_losses(shown)
    if needed(shown) > least:
        shown = _with_one_for_losses(_with_one_for_all(alone, lossy=True))
    if needed(shown) > least:
        shown = _with_one_for_findings(shown)
    if needed(shown) > 2 * least:
        shown = _with_one_for_rows(shown)
    return _with_one_for_changes(shown) if needed(shown) > 2 * least else shown


def _without_runs(audit: Audit, told: Collection[str]) -> list[Alert]:
    """Return the alerts without those about single missing runs, if the record is not complete. The alert about the record has
    the same next step, and the head of the page names the runs."""
    return [alert for alert in alerts(audit, told) if audit.whole or alert.topic is not Topic.MISSING]


def needed(shown: Sequence[Alert]) -> int:
    """Return how many of the first alerts the page needs: all up to the last alert about a severe finding, about something to do
    at once, or about services that were never drilled."""
    return sum(urgency(alert) < LAST for alert in shown)


def brief(alert: Alert) -> str:
    """Return the text of ``alert``, shortened for the page. The amounts of earlier runs are left out first. If lost data would be cut
    off even then, it is told first, and only the verdict and the missed objectives stand before it."""
    text = alert.text if len(alert.text) <= MOST_LETTERS else _EARLIER.sub(r"\1", alert.text)
    cut = [title for title in alert.lost if title not in shortened(text, MOST_LETTERS, whole_words=True)]
    told = (text, _with_lost(alert, cut), _with_lost(alert, alert.lost)) if cut else (text,)
    short = [shortened(each, MOST_LETTERS, whole_words=True) for each in told]
    return next((each for each in short if all(title in each for title in alert.lost)), short[-1])


def _with_lost(alert: Alert, titles: Sequence[str]) -> str:
    """Return the text of ``alert`` with the ``titles`` of its findings about lost data before the reason of the verdict."""
    lost = f"{LOST} ({'; '.join(titles)})"
    if alert.missed:
        verdict, _, reason = alert.text.partition(": ")
        return f"{verdict} ({alert.missed} missed), and {lost}; {reason}"
    return f"{alert.about} {lost}; {alert.text.removeprefix(f'{alert.about} ')}"


def _worst(known: Sequence[Alert]) -> str:
    return min((alert.severity for alert in known if alert.severity), key=GRAVE.index, default="")


def _by_drill(shown: Sequence[Alert]) -> list[Alert]:
    """Join the alerts about the same drill to the first of them."""
    alert_by_drill: dict[str, Alert] = {}
    for number, alert in enumerate(shown):
        key = alert.about or str(number)
        first = alert_by_drill.get(key)
        alert_by_drill[key] = _joined(first, alert) if first else alert
    return list(alert_by_drill.values())


def _reserved(audit: Audit, alert: Alert) -> list[ProvenRow]:
    """Return the objectives that the drill of ``alert`` meets only with a reservation."""
    return [goal for goal in audit.proven if goal.reserved and alert.about == drill_key(goal.drill, goal.environment)]


def _same_run(audit: Audit, alert: Alert) -> bool:
    """Return True if the reservations of the drill are about the run of ``alert``. An alert tells of one run only, so reservations
    of an earlier run have an alert of their own."""
    return all(alert.run in ("", goal.run) for goal in _reserved(audit, alert))


def _with_state(audit: Audit, alert: Alert) -> Alert:
    """Return ``alert``. If its run met an RPO only with a reservation, add this state of the RPO to the text."""
    goals = _reserved(audit, alert) if _same_run(audit, alert) else []
    return replace(alert, text="; ".join([alert.text, *(f"its RPO is {goal.said}" for goal in goals)]))


def _joined(first: Alert, second: Alert) -> Alert:
    """Join two alerts about the same drill to one. Normally the joined text is the text of ``first``, then the text of
    ``second``. There are two exceptions: ``second`` is about the verdict of a run, or ``first`` is, and ``second`` about data that
    earlier runs lost. Then the joined text is this verdict without its reason, except that the controller died or who stopped the
    run, and after it the text of the other alert, with the day of its run if ``second`` is another run. The next step is that of
    ``first``.
    """
    verdict = _verdict(second)
    text = f"{first.text}; {second.text.removeprefix(f'{second.about} ')}"
    if first.topic is Topic.RUN_AGAIN and second.text.startswith(f"{first.about} {LOST} "):
        text = f"{_verdict(first)}; {second.text.removeprefix(f'{second.about} ')}"
    if second.topic is Topic.RUN_AGAIN and verdict.startswith(second.about):
        other = f"its run of {begun(first.run)[:10]} " if first.run not in ("", second.run) else ""
        text = f"{verdict}; {other}{first.text.removeprefix(f'{first.about} ')}"
    lost = tuple(dict.fromkeys((*first.lost, *second.lost)))
    return replace(
        first,
        text=text,
        run=first.run or second.run,
        severity=_worst([first, second]),
        lost=lost,
        rows=first.rows or second.rows,
    )


def _verdict(alert: Alert) -> str:
    """Return the verdict in the text of an alert about a run, without its reason, but with the death of its controller, or who
    stopped it."""
    verdict, _, reason = alert.text.partition(": ")
    lost = lost_amounts.beside(alert.rows)
    verdict = verdict.removesuffix(lost) + (", because its controller died" if reason.startswith(DIED) else "")
    verdict += f", stopped by {stop[1]}" if (stop := _STOPPED.match(reason)) else ""
    return verdict + (f",{lost}" if lost else "")


def _with_one_for_all(shown: Sequence[Alert], *, lossy: bool = False) -> list[Alert]:
    """Join the alerts which say that a drill must run again, and return all alerts, the most urgent first. Drills with a critical
    finding are named first, then those that lost data, and then those that missed an objective. ``lossy``: False to leave out the
    alerts about lost data."""
    again = [alert for alert in shown if _joins(alert) and (lossy or not alert.lost)]
    gone = sum(GONE in alert.step for alert in again)
    step = RUN_AGAIN if all(alert.stopped for alert in again) else MEND
    step += NO_CAUSE if step == MEND and any(map(_stopped_by, again)) else ""
    step += as_called(RETIRE_THOSE) if gone else ""
    lost = (LOST,) if any(alert.lost for alert in again) else ()
    joint = Alert(
        f"must run again{f' ({gone} without a file in drills/)' if gone else ''}", step, topic=Topic.RUN_AGAIN, lost=lost
    )
    named = sorted(again, key=lambda alert: (alert.severity != SEVERE[0], not alert.lost, not alert.missed))
    return sorted(_with_one(shown, named, joint, _outcome), key=urgency)


def _joins(alert: Alert) -> bool:
    """Return True for an alert about a drill that must run again. One that lost data of its service has its own alert."""
    return alert.topic is Topic.RUN_AGAIN and bool(alert.about) and not alert.rows


def _with_one_for_rows(shown: Sequence[Alert]) -> list[Alert]:
    """Join the alerts about drills whose newest runs lost data of their services to one alert, with the amounts."""
    lossy = [alert for alert in shown if alert.rows and alert.about and alert.topic is not Topic.LEFT]
    joint = Alert(LOST, lost_amounts.ENTER_THOSE, topic=Topic.RUN_AGAIN, lost=(LOST,), rows=LOST)
    return _with_one(shown, lossy, joint, lambda alert: f"{alert.about} ({alert.rows})")


def _with_one_for_changes(shown: Sequence[Alert]) -> list[Alert]:
    """Join the alerts about changes that are not undone to one alert."""
    left = [alert for alert in shown if alert.topic is Topic.LEFT]
    joint = Alert("left changes that are not undone", UNDO, topic=Topic.LEFT)
    return _with_one(shown, left, joint, lambda alert: alert.about)


def _with_one_for_losses(shown: Sequence[Alert]) -> list[Alert]:
    """Join the alerts about drills that passed, but lost data. A drill that did not pass keeps its verdict, so its alert is left
    out."""
    lossy = [alert for alert in shown if alert.lost and alert.about and alert.topic is Topic.FINDINGS and not alert.rows]
    joint = Alert(f"passed, but {LOST}", MEND, topic=Topic.FINDINGS, lost=(LOST,))
    return _with_one(shown, lossy, joint, lambda alert: f"{alert.about} ({'; '.join(alert.lost)})")


def _with_one_for_findings(shown: Sequence[Alert]) -> list[Alert]:
    """Join the alerts about drills that passed with severe findings to one alert. Alerts about lost data are left out."""
    shared = [alert for alert in shown if alert.topic is Topic.FINDINGS and not alert.lost and alert.severity in SEVERE]
    joint = Alert("passed with open findings", MEND, topic=Topic.FINDINGS)
    return _with_one(shown, shared, joint, lambda alert: f"{alert.about} ({alert.severity})")


def _with_one(shown: Sequence[Alert], group: Sequence[Alert], joint: Alert, item: Callable[[Alert], str]) -> list[Alert]:
    """Return the alerts of ``shown``. The alerts of ``group`` that have the same time limit are replaced by one alert, in the place
    of the first of them. A single alert stays as it is.

    ``joint``: the new alert. Its text is only what the drills have in common. The number of drills is added before it, and the
    texts of ``item`` about each drill after it.
    """
    for due in dict.fromkeys(alert.when for alert in group):
        members = [alert for alert in group if alert.when == due]
        if len(members) > 1:
            text = _named(f"{count(len(members), 'drill')} {joint.text}", [item(alert) for alert in members])
            who, when = joint_owner(alert.who for alert in members), NEXT_RUNS if due == NEXT_RUN else due
            joined = replace(joint, text=text, who=who, when=when, severity=_worst(members))
            first = next(alert for alert in shown if alert in members)
            shown = [joined if alert is first else alert for alert in shown if alert is first or alert not in members]
    return list(shown)


def _stopped_by(alert: Alert) -> str:
    """Return words for the person or signal that stopped the newest run of the drill. The text is empty for any other alert."""
    match = _STOPPED.search(alert.text) if alert.stopped else None
    return match[1] if match else ""


def _outcome(alert: Alert) -> str:
    """Return the name of the drill of ``alert`` with its verdict, or with another reason why the drill must run again. Missed
    objectives and lost data stand after it."""
    outcome = alert.text.partition(": ")[0].partition("; ")[0]
    outcome += f", {RECOVERED}" if f"; {RECOVERED}, " in alert.text else ""
    outcome = outcome if outcome.startswith(alert.about) else f"{alert.about} has an objective that is not proven"
    stop = _stopped_by(alert)
    told = ((f"stopped by {stop}", stop), (f"{alert.missed} missed", alert.missed), (LOST, alert.lost))
    more = [text for text, known in told if known]
    return f"{outcome} ({'; '.join(more)})" if more else outcome


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
