"""Alerts about rows that earlier runs of a drill lost, and of which its newest run does not tell. The rule is that of the lists of
runs; see ``report.earlier_losses``.
"""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.audit import retired
from drillbook.audit.alert import AT_ONCE, Alert, Topic, drill_key, owner_of
from drillbook.audit.content import Audit
from drillbook.audit.run_rows import RunRow
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import listed
from drillbook.report.earlier_losses import superseded
from drillbook.report.figures import count

MOST_LOSSES = 3
STEP = "enter the missing data again, unless somebody did so since"
COUNTED = "; this counts the runs since the drill last passed, and each report tells what its own run lost"
"""Remark after the step: which runs are counted, as ``report.earlier_losses.superseded`` selects them."""


def alerts(audit: Audit, owners: dict[tuple[str, str], str]) -> Iterator[Alert]:
    """Yield one alert for each drill that is not retired, and of which earlier runs lost rows. Nothing records whether somebody
    entered them again, so the alert tells only what the reports say.
    """
    rows_by_drill: dict[tuple[str, str], list[RunRow]] = {}
    for run in sorted(audit.runs, key=lambda row: row.started, reverse=True):
        rows_by_drill.setdefault((run.environment, run.drill), []).append(run)
    for (environment, drill), runs in sorted(rows_by_drill.items()):
        lossy = superseded(runs, lambda run: run.lost, lambda run: run.verdict == Verdict.PASSED)
        if lossy and not retired.covering(audit.retired, drill, environment):
            about, lost = drill_key(drill, environment), f"in {count(len(lossy), 'earlier run')}"
            text = f"{about} lost data {lost}: {listed([run.lost for run in lossy], MOST_LOSSES)}"
            who = owner_of(owners, environment, drill)
            yield Alert(text, STEP, who, AT_ONCE, lossy[0].run, about, Topic.FINDINGS, lost=(lost,), otherwise=COUNTED)
