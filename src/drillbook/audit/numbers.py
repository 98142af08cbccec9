"""Sentences of an audit about its numbers of drills, runs and services, and how these numbers belong together."""

from __future__ import annotations

from drillbook.audit import content, run_rows, services
from drillbook.audit.absences import MISSING
from drillbook.audit.content import Audit
from drillbook.language.lists import leading
from drillbook.project.schedules import Scheduled
from drillbook.report import project_drills
from drillbook.report.figures import count, runs_of
from drillbook.report.index_entries import Known
from drillbook.report.project_drills import NEVER_RAN, NOT_IN_PERIOD
from drillbook.sdk.run_names import drill_of

ANCHOR = "anchor-missing"
"""Code of the problem about a run that an anchor names, and whose journal is missing."""
MOST_MISSING = 2
"""Largest number of missing runs that the summary names."""


def sentences(audit: Audit) -> str:
    """Return sentences about the drills, their runs, the services, and changes that are not recorded as undone."""
    if not audit.runs:
        texts = ["No run began in this period, so nothing was proven."]
    else:
        texts = [runs(audit), services.total(audit.coverage)]
    return " ".join(filter(None, [*texts, run_rows.changes_left(audit.runs)]))


def runs(audit: Audit) -> str:
    """Return sentences with the number of runs and verdicts. If the drills of the project are known, the sentences also tell how
    many of them ran in the period, and how many did not.
    """
    known = {drill.name: Known(drill.suite, _asked(audit, drill)) for drill in audit.drills}
    if not audit.runs or all(drill.suite for drill in known.values()):
        return content.runs_sentence(audit.runs)
    drills, places = {run.drill for run in audit.runs}, len({run.environment for run in audit.runs})
    where = f" in {places} environments" if places > 1 else ""
    verdicts = run_rows.counted(audit.runs, content.ORDER)
    text = f"{project_drills.ran(drills, known)}, in {count(len(audit.runs), 'run')}{where}: {verdicts}."
    suites = {drill_of(folder.rpartition("/")[2]) for folder in audit.suites}
    never = project_drills.never(drills | suites, known, NOT_IN_PERIOD if audit.outside else NEVER_RAN)
    return f"{text} {never}".rstrip()


def _asked(audit: Audit, drill: Scheduled) -> bool:
    """Return True if the schedule of ``drill`` asks for runs: it has one, and the project has an inventory for the drill."""
    return drill.every is not None and not (audit.inventories and audit.inventories.unmet(drill))


def missing(audit: Audit) -> str:
    """Return a sentence for the summary about the runs that are missing from the record. It names the first of them, and says
    that the audit lists them all. The audit also has the record that names each of them.
    """
    suites = {problem.run for problem in audit.problems if problem.code == ANCHOR and not problem.lost}
    drills = {problem.run for problem in audit.problems if problem.lost}
    verdicts = "their verdicts are unknown"
    if number := len(drills) + len(suites):
        text = f"At least {runs_of(len(drills), len(suites))} {'is' if number == 1 else 'are'} missing"
        verdicts = "its verdict is unknown" if number == 1 else verdicts
    else:
        text = "Runs may be missing"
    gone = [row.run for row in audit.absent if row.kind == MISSING]
    shown, _ = leading([run for run in gone if run], MOST_MISSING)
    others = len(gone) - len(shown)
    if not shown:
        return f"{text}, and {verdicts}; the audit tells which record names them." if gone else f"{text}, and {verdicts}."
    return f"{text}, and {verdicts}: {', '.join(shown)}{f' and {others} more, which the audit lists' if others else ''}."
