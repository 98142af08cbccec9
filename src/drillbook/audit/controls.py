"""Controls (requirements of security standards) that ask for tested recovery.

For each control, this module counts the runs of the period with evidence. It names the sections of the audit that
contain the evidence, and the parts of the control that the evidence does not cover. Only ids and titles are cited,
because the texts belong to their publishers. No control is claimed to be fulfilled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from drillbook.audit import run_evidence
from drillbook.audit.records import Record
from drillbook.report.figures import count
from drillbook.report.wording import NOT_BEGUN

MOST_DRILLS = 8
"""Number of drills that are named in one field. Only the number of further drills is given. But if there are at most
``FEW`` further drills, these are named, too.
"""
FEW = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """Kind of evidence in a run. ``words``: rest of a sentence that begins with a number of runs, such as "3 of 5 runs".
    ``holds``: function that returns True when a run has the evidence.
    """

    words: str
    holds: Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Control:
    """One control and its evidence in the report."""

    standard: str
    id: str
    title: str
    evidence: str
    """Kind of evidence that the control asks for. It is a key of ``EVIDENCE``."""
    sections: tuple[str, ...]
    """Ids of the sections of the audit that contain this evidence."""
    not_shown: str
    shows: str = ""
    """Text with the number of runs that contain this evidence, and the drills of these runs."""
    lacks: str = ""
    """Text with the names of drills. At least one run of each drill does not contain this evidence. The text is empty when
    every run contains the evidence.
    """
    runs: tuple[str, ...] = ()
    """Names of the runs that contain the evidence for the control."""
    without: tuple[str, ...] = ()
    """Names of the runs that do not contain the evidence for the control."""


EVIDENCE = {
    "compared": Evidence("passed, restored a backup, and compared the restored content", run_evidence.compared),
    "restored": Evidence("passed and restored a backup", run_evidence.restored),
    "compared and measured": Evidence(
        "passed, restored a backup, compared the restored content, and met without a reservation each RTO and RPO that its drill sets",
        lambda record: run_evidence.compared(record) and run_evidence.measured(record),
    ),
    "carried out": Evidence("carried out steps of a restore", run_evidence.carried_out),
    "measured": Evidence(
        "passed, and met without a reservation each RTO and RPO that its drill sets", run_evidence.measured
    ),
    "recovered": Evidence("passed, proved that a fault was active, and recovered the service", run_evidence.recovered),
    "redundant": Evidence("shows that a redundant component took over", lambda _record: False),
    "tested": Evidence("injected a fault or restored a backup, and passed or failed", run_evidence.tested),
}
OF_OBJECTIVES = {"measured": lambda _record: True, "compared and measured": run_evidence.compared}
"""Kinds of evidence that are about met objectives. Each value tells if a run has the other parts of the evidence."""
OF_BACKUPS = ("compared", "restored", "compared and measured")
"""Kinds of evidence that are about restored backups."""

SOC, ISO, NIST = "SOC 2 (Trust Services Criteria)", "ISO/IEC 27001:2022, Annex A", "NIST SP 800-53 Rev. 5"
GBT, DORA = "GB/T 22239-2019, level 3", "DORA, Regulation (EU) 2022/2554"

CONTROLS = (
    Control(
        SOC,
        "A1.2",
        "Environmental protections, software, data backup processes and recovery infrastructure",
        "compared",
        ("coverage", "proven", "findings"),
        not_shown="Environmental protections, capacity, and proof that production backups run on their schedule.",
    ),
    Control(
        SOC,
        "A1.3",
        "Testing of recovery plan procedures",
        "carried out",
        ("coverage", "proven", "not-passed", "plans"),
        not_shown="Parts of the recovery plan that no drill covers: people, premises, suppliers, communication.",
    ),
    Control(
        ISO,
        "A.5.30",
        "ICT readiness for business continuity",
        "measured",
        ("proven", "trend", "coverage"),
        not_shown="Proof that the objectives follow from a business impact analysis, and that management approved them.",
    ),
    Control(
        ISO,
        "A.8.13",
        "Information backup",
        "restored",
        ("proven", "findings"),
        not_shown="Proof that every backup policy is kept: scope, retention, encryption and off-site copies of the routine backups.",
    ),
    Control(
        ISO,
        "A.8.14",
        "Redundancy of information processing facilities",
        "redundant",
        ("coverage",),
        not_shown=(
            "Redundancy itself: that redundant facilities exist, and take over. The record of a drill tells how long a service "
            "was out, but not which component ended the outage."
        ),
    ),
    Control(
        NIST,
        "CP-4",
        "Contingency Plan Testing",
        "tested",
        ("coverage", "not-passed", "findings"),
        not_shown="The contingency plan itself, its coordination with related plans, and corrective actions outside the drills.",
    ),
    Control(
        NIST,
        "CP-9",
        "System Backup",
        "compared",
        ("proven", "findings"),
        not_shown="Frequency, protection and separate storage of the routine backups.",
    ),
    Control(
        NIST,
        "CP-10",
        "System Recovery and Reconstitution",
        "recovered",
        ("proven", "trend", "not-passed"),
        not_shown="Reconstitution after the loss of a whole site, unless a drill of that kind is listed.",
    ),
    Control(
        GBT,
        "8.1.4.9",
        "数据备份恢复 (data backup and recovery)",
        "compared",
        ("coverage", "proven"),
        not_shown="Real-time off-site backup, and hot redundancy of important data processing systems, unless a drill shows them.",
    ),
    Control(
        DORA,
        "Art. 11",
        "Response and recovery",
        "tested",
        ("coverage", "not-passed", "findings", "plans"),
        not_shown="Crisis communication, switch-over of outsourced services, and the yearly review by management.",
    ),
    Control(
        DORA,
        "Art. 12",
        "Backup policies and procedures, restoration and recovery procedures and methods",
        "compared and measured",
        ("proven", "trend", "evidence"),
        not_shown="Proof that restoration uses systems that are physically and logically segregated, unless the inventory shows it.",
    ),
)


def bearing(runs: Sequence[Record]) -> tuple[Control, ...]:
    """Return all controls, each with the evidence from ``runs``. ``runs``: runs of the period.

    Runs that were refused before they began, or were not run here, are counted separately, because they tried nothing."""
    begun = [run for run in runs if run.verdict not in NOT_BEGUN]
    runs_by_evidence = {key: [run for run in begun if evidence.holds(run)] for key, evidence in EVIDENCE.items()}
    numbers = Counter(run.verdict for run in runs if run.verdict in NOT_BEGUN)
    others = " and ".join(f"{count(number, 'run')} {NOT_BEGUN[verdict]}" for verdict, number in sorted(numbers.items()))
    apart = f" Not counted: {others}." if others else ""
    return tuple(_bearing(control, begun, runs_by_evidence[control.evidence], apart) for control in CONTROLS)


def _bearing(control: Control, begun: Sequence[Record], shown: Sequence[Record], apart: str) -> Control:
    words = EVIDENCE[control.evidence].words
    folders = {record.folder for record in shown}
    without = [run for run in begun if run.folder not in folders]
    told = f"{_taken(control, shown, begun)}{_reserved(control, begun)}{apart}"
    shows = f"{len(shown)} of {count(len(begun), 'run')} {words}: {_drills(shown, begun)}.{told}"
    return replace(
        control,
        shows=shows if shown else f"Nothing: no run of the period {words}.{_reserved(control, begun)}",
        lacks=f"Without this evidence: {_drills(without, begun)}." if shown and without else "",
        runs=tuple(record.run for record in shown),
        without=tuple(record.run for record in without),
    )


def _reserved(control: Control, begun: Sequence[Record]) -> str:
    """Return a sentence about runs that lack the evidence only because they met an objective with a reservation."""
    if control.evidence not in OF_OBJECTIVES:
        return ""
    rest = OF_OBJECTIVES[control.evidence]
    partly = [record for record in begun if rest(record) and run_evidence.with_reservation(record)]
    return (
        f" {count(len(partly), 'more run')} met an objective only with a reservation: {_drills(partly)}." if partly else ""
    )


def _taken(control: Control, shown: Sequence[Record], begun: Sequence[Record]) -> str:
    """Return sentences about those runs in ``shown`` that restored only backups which are perhaps no routine backups: backups
    that were taken during the run, by earlier runs of drills, or while one of the runs ``begun`` took backups. The result is empty
    when there are no such runs, and for evidence that is not about restored backups."""
    asked = shown if control.evidence in OF_BACKUPS else ()
    fresh = [record for record in asked if run_evidence.taken_by_run(record)]
    earlier = [record for record in asked if run_evidence.taken_by_drill(record)]
    during = [record for record in asked if run_evidence.taken_during_drill(record, begun)]
    text = f" In {len(fresh)} of them, the restored backup was taken during the run: {_drills(fresh)}." if fresh else ""
    if earlier:
        more = "more" if fresh else "of them"
        text += f" In {len(earlier)} {more}, an earlier run of a drill had taken the restored backup: {_drills(earlier)}."
    if during:
        more = "more" if fresh or earlier else "of them"
        told = "the restored backup was taken while a drill ran, so no routine backup was proven"
        text += f" In {len(during)} {more}, {told}: {_drills(during)}."
    return text


def _drills(runs: Sequence[Record], every: Sequence[Record] = ()) -> str:
    """Return the names of the drills of ``runs``. If a drill has several runs, their number is added to the name of the
    drill. ``every``: more runs, so that a drill with only a part of its runs in ``runs`` has both numbers, such as ``1 of 2 runs``.
    """
    totals = Counter(run.drill for run in every)
    numbers = sorted(Counter(run.drill for run in runs).items())
    names = [
        f"{name} ({number} of {totals[name]} runs)"
        if totals[name] > number
        else f"{name} ({number} runs)"
        if number > 1
        else name
        for name, number in numbers
    ]
    more = len(names) - MOST_DRILLS
    if more <= FEW:
        return ", ".join(names)
    return ", ".join(names[:MOST_DRILLS]) + (f" and {count(more, 'more drill')}" if more > 0 else "")
