"""Verification of all journals by the signatures of the runs, and by anchors.

An anchor is a copy of a journal's hashes outside of ``reports/``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from drillbook.attestation import anchor_lines, anchor_places, timestamps, trusted_content
from drillbook.attestation.anchor_lines import Known
from drillbook.audit.chain import Problem
from drillbook.audit.period import Period
from drillbook.audit.records import Record
from drillbook.journal.run_files import RESULT
from drillbook.journal.run_state import RunStates
from drillbook.project.project import Project
from drillbook.report.figures import runs_of
from drillbook.report.folders import begun
from drillbook.sdk.run_names import RUN_ID

WORKERS = 4
OWN = "this machine's own key"


@dataclass(frozen=True, slots=True)
class Assurance:
    """Result of verifying the signatures of the runs and suites of a period, and of comparing all journals with the
    anchors.
    """

    unsigned: tuple[str, ...] = ()
    """Texts about those runs of the period that have no trusted signature for their present content. Each text gives the
    reason."""
    compared: tuple[str, ...] = ()
    """Places whose anchors were compared with the journals. Each text names the place, the number of runs with an anchor
    there, and the time of the newest anchor.
    """
    problems: tuple[Problem, ...] = ()
    """Contradictions between anchors and journals."""
    unread: tuple[str, ...] = ()
    """Places whose anchors could not be read, each with the reason."""
    weak: tuple[str, ...] = ()
    """Texts about runs of the period whose anchors are weak evidence, each with the reason."""
    signers: tuple[str, ...] = ()
    """Trusted keys that signed runs and suites of the period, each with the number of runs and suites that it signed."""
    lacking: str = ""
    """Number of runs and suites of the period without a trusted signature, as text. It is empty if there are none."""
    own_only: bool = False
    """True when only this machine's own key signed the runs and suites of the period."""
    anchored: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """For each run with an anchor, the number of events that the newest anchor confirms, and a text that names this anchor.
    The key of each entry is the name of the run. Runs that contradict their anchor are left out.
    """
    own_place: bool = False
    """True when the only compared anchors are those in the state folder of the account that makes the audit."""
    anchored_runs: int = 0
    """Number of runs and suites of the period that have an anchor. ``timestamped``: number of these whose anchor has a timestamp
    of a time-stamp authority. ``timestamps_checked``: True when these timestamps were verified."""
    timestamped: int = 0
    timestamps_checked: bool = False
    checked: bool = True
    """True when signatures and anchors were verified."""

    @property
    def unvouched(self) -> tuple[str, ...]:
        """Reasons why signatures and anchors do not prove the whole record: runs without a trusted signature, weak anchors,
        and places of anchors that could not be read."""
        return (*self.unsigned, *self.weak, *self.unread)


UNCHECKED = Assurance(checked=False)
"""Result when only the chain of hashes was verified, without signatures and anchors."""


def assure(records: Sequence[Record], period: Period, project: Project, known: Known, runs: RunStates) -> Assurance:
    """Verify the signatures of all runs of ``period``, and of the suites to which they belong. Compare all journals with the
    anchors in ``known``.

    ``runs``: states of the runs. ``records`` were made from the same states, so that signatures and anchors are compared
    with the journals that the audit shows.

    The caller must read the anchors before the journals. Otherwise a run that ends between the two readings has an
    anchor but no journal, and is reported as missing.

    Raises UsageError when root certificates of timestamps cannot be read.
    """
    checker, reports = timestamps.checker(), project.reports
    inside = [reports / record.folder for record in records if not record.copy_of and period.holds(record.started)]
    suites = {folder.parent for folder in inside if folder.parent != reports and (folder.parent / RESULT).exists()}
    folders = sorted({*inside, *suites})
    with ThreadPoolExecutor(WORKERS) as pool:
        known_by = pool.map(lambda folder: trusted_content.vouched_by(runs.of(folder), project.root), folders)
        signed = list(zip(folders, known_by, strict=True))
    unsigned = tuple(f"{folder.name}: {said}" for folder, (said, _) in signed if said)
    weak = tuple(f"{folder.name}: {said}" for folder in folders for said in _doubts(folder.name, known, checker))
    keys, anchors = _by_key(signed), [known.runs[folder.name] for folder in folders if folder.name in known.runs]
    return Assurance(
        unsigned,
        tuple(_compared(known)),
        tuple(_problems(records, known, reports)),
        known.unread,
        weak,
        tuple(f"{key}: {_runs(suites, keys[key])}" for key in sorted(keys)),
        lacking=_runs(suites, (folder for folder, (said, _) in signed if said)) if unsigned else "",
        own_only=bool(keys) and all(key.startswith(OWN) for key in keys),
        anchored=_anchored(records, known),
        own_place=bool(known.counts) and set(known.counts) == {str(anchor_places.default(reports))},
        anchored_runs=len(anchors),
        timestamped=sum(timestamps.FIELD in anchor.content for anchor in anchors),
        timestamps_checked=checker is not None,
    )


def _compared(known: Known) -> Iterator[str]:
    for source, (drills, suites, at) in sorted(known.counts.items()):
        yield f"{source}: {runs_of(drills, suites)}; the newest is of {at} by the controller's clock"


def _key(said: str) -> str:
    """Extract the name and the fingerprint of a key from ``said``, the sentence about the key. Leave out the path of the key."""
    if not said.startswith(f"signed with {OWN} "):
        return said.removeprefix("signed by ")
    return f"{OWN} ({said.rpartition('(')[2]}"


def _by_key(signed: Sequence[tuple[Path, tuple[str, str]]]) -> dict[str, list[Path]]:
    """Group the signed folders by the keys that signed them. ``signed``: each folder, with the result of ``vouched_by``."""
    folders: dict[str, list[Path]] = {}
    for folder, (_, said) in signed:
        if said:
            folders.setdefault(_key(said), []).append(folder)
    return folders


def _runs(suites: Container[Path], folders: Iterable[Path]) -> str:
    """Return the number of runs in ``folders``, with those of ``suites`` apart."""
    known = [folder in suites for folder in folders]
    return runs_of(known.count(False), known.count(True))


def _doubts(run: str, known: Known, checker: timestamps.Checker | None) -> Iterator[str]:
    """Return the reasons why the anchor of a run is weak evidence. For example, the anchor is an object in a bucket and has no
    lock, or the timestamp of the anchor is invalid.
    """
    yield from known.doubts.get(run, ())
    if checker is not None:
        anchor = known.runs.get(run)
        yield from filter(
            None, [checker.doubt(anchor.content) if anchor else "the run has no anchor, so it has no timestamp"]
        )


def _anchored(records: Sequence[Record], known: Known) -> dict[str, tuple[int, str]]:
    confirmed = {}
    for record in records:
        anchor = known.runs.get(record.run)
        if anchor and not record.copy_of and not record.damage and not anchor_lines.differs(anchor, record.hashes):
            confirmed[record.run] = (anchor.events, f"the anchor in {anchor.source} of {anchor.at}")
    return confirmed


def _problems(records: Sequence[Record], known: Known, reports: Path) -> Iterator[Problem]:
    there = {journal.run: journal for journal in records if not journal.copy_of}
    for run, anchor in sorted(known.runs.items()):
        at = begun(run) if RUN_ID.fullmatch(run) else anchor.at
        record = there.get(run)
        if record is None:
            if anchor.events or not anchor_lines.present(anchor, reports):
                what = "suite" if anchor.of_suite else "run"
                named_by = f"the anchor in {anchor.source} of {anchor.at}"
                text = f"the {what} {run} is missing, although {named_by} names it"
                yield Problem("anchor-missing", run, text, True, at, at, anchor.source, not anchor.of_suite, named_by)
        elif not record.damage and (wrong := anchor_lines.differs(anchor, record.hashes)):
            yield Problem("anchor-differs", run, f"{run}: {wrong}", True, at, at, anchor.source)
