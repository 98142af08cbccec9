"""Controls that require tested recovery.

For each control, this module names the sections of an audit with evidence, and the limits of that evidence. Only ids and
titles are cited, because the texts belong to their publishers. No control is claimed to be fulfilled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Control:
    """One control and its evidence in the report."""

    standard: str
    id: str
    title: str
    shows: str
    sections: tuple[str, ...]
    """Ids of the sections that contain evidence."""
    not_shown: str


SOC, ISO, NIST = "SOC 2 (Trust Services Criteria)", "ISO/IEC 27001:2022, Annex A", "NIST SP 800-53 Rev. 5"
GBT, DORA = "GB/T 22239-2019, level 3", "DORA, Regulation (EU) 2022/2554"

CONTROLS = (
    Control(
        SOC,
        "A1.2",
        "Environmental protections, software, data backup processes and recovery infrastructure",
        "Proof that a backup was restored and its content compared, in runs that passed.",
        ("coverage", "proven", "findings"),
        "Environmental protections, capacity, and proof that production backups run on their schedule.",
    ),
    Control(
        SOC,
        "A1.3",
        "Testing of recovery plan procedures",
        "The recovery procedures that were carried out, each with its time, its environment, its objectives and its result.",
        ("coverage", "proven", "not-passed", "plans"),
        "Parts of the recovery plan that no drill covers: people, premises, suppliers, communication.",
    ),
    Control(
        ISO,
        "A.5.30",
        "ICT readiness for business continuity",
        "Measured recovery times and recovery points against the objectives that were set before each run.",
        ("proven", "trend", "coverage"),
        "Proof that the objectives follow from a business impact analysis, and that management approved them.",
    ),
    Control(
        ISO,
        "A.8.13",
        "Information backup",
        "Proof that backups made in the drills could be restored, and the amount of data that was lost between backup and disruption.",
        ("proven", "findings"),
        "Proof that every backup policy is kept: scope, retention, encryption and off-site copies of the routine backups.",
    ),
    Control(
        ISO,
        "A.8.14",
        "Redundancy of information processing facilities",
        "The time for which services stayed away when a part of them was taken out. Only the parts that drills took out are covered.",
        ("coverage", "proven"),
        "Proof that redundant facilities exist at a second site, and drills of the parts of services that no drill took out.",
    ),
    Control(
        NIST,
        "CP-4",
        "Contingency Plan Testing",
        "Each test with its date, result, findings, and whether a finding was seen again.",
        ("coverage", "not-passed", "findings"),
        "The contingency plan itself, its coordination with related plans, and corrective actions outside the drills.",
    ),
    Control(
        NIST,
        "CP-9",
        "System Backup",
        "Proof that backups of the drilled services were complete enough to restore from, table by table or object by object.",
        ("proven", "findings"),
        "Frequency, protection and separate storage of the routine backups.",
    ),
    Control(
        NIST,
        "CP-10",
        "System Recovery and Reconstitution",
        "Proof that the drilled services were brought back to a known state, and the time that it took.",
        ("proven", "trend", "not-passed"),
        "Reconstitution after the loss of a whole site, unless a drill of that kind is listed.",
    ),
    Control(
        GBT,
        "8.1.4.9",
        "数据备份恢复 (data backup and recovery)",
        "Local backup and recovery of the drilled data, carried out and verified.",
        ("coverage", "proven"),
        "Real-time off-site backup, and hot redundancy of important data processing systems, unless a drill shows them.",
    ),
    Control(
        DORA,
        "Art. 11",
        "Response and recovery",
        "Tests of recovery with their dates, scenarios, results and deviations.",
        ("coverage", "not-passed", "findings", "plans"),
        "Crisis communication, switch-over of outsourced services, and the yearly review by management.",
    ),
    Control(
        DORA,
        "Art. 12",
        "Backup policies and procedures, restoration and recovery procedures and methods",
        "Restorations from backups with checks of the integrity of the restored data, with measured RTO and RPO.",
        ("proven", "trend", "evidence"),
        "Proof that restoration uses systems that are physically and logically segregated, unless the inventory shows it.",
    ),
)


def bearing(compared: Sequence[str]) -> tuple[Control, ...]:
    """Return the controls with their evidence.

    ``compared``: drills with a passed run that restored a backup and compared its content.
    """
    shows = (
        f"Proof that a backup was restored and its content compared, in runs that passed: {', '.join(compared)}."
        if compared
        else "Nothing: no run of the period that passed restored a backup and compared its content."
    )
    return tuple(replace(one, shows=shows) if one.id == "A1.2" else one for one in CONTROLS)
