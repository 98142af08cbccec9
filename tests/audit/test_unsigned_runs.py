"""The next step of an audit for the runs that have no trusted signature, by the reason."""

from __future__ import annotations

from drillbook.audit import unsigned_runs
from drillbook.signing import keys
from tests.attestation.forging import attest, throw_away_key
from tests.report.test_agreement import plain

NO_KEY = "died, so the record of this run stays incompletely signed"
REPEAT = "; only a later run can be signed completely, and be the proof. Next: repeat sample."


def died(bench, folder):
    """Sign the run as `drill.recover` signs one whose controller died: some events are listed as unsigned."""
    attest(folder, keys.chosen(bench.root), unvouched=[[3, 5]], occasion="recovery")


def test_no_step_is_asked_for_a_dead_controllers_run_whose_drill_passed_since(bench, audit):
    first, _, newest = bench.folders
    died(bench, first)
    status, said = audit()
    assert status == 3
    proof = f"; no signature can be added later, and none is needed: the proof is the later run {newest.name}, in which sample passed."
    assert f"The controller of the run {first.name} {NO_KEY}{proof}" in said
    assert " Exit 3, as in each audit of these runs. " in said, "nothing is left to do"
    assert "Next: " not in said
    assert unsigned_runs.TRUST_KEYS not in said, "the key is trusted already"
    assert unsigned_runs.REPEAT not in said, "the run is signed"
    for name in ("audit.html", "audit.md", "summary.html"):
        page = " ".join(plain((bench.root / "audit" / name).read_text()).replace("\\", "").split())
        assert f"{NO_KEY}{proof}" in page, name


def test_a_dead_controllers_run_that_is_the_newest_must_be_repeated(bench, audit):
    died(bench, bench.folders[-1])
    assert f"The controller of the run {bench.folders[-1].name} {NO_KEY}{REPEAT}" in audit()[1]


def test_later_runs_without_a_trusted_signature_repeat_nothing(bench, audit):
    for folder in bench.folders:
        died(bench, folder)
    said = audit()[1]
    assert said.count(REPEAT) == 1, "runs with the same next step share a sentence"
    *names, last = (folder.name for folder in bench.folders)
    together = f"The controllers of the runs {', '.join(names)} and {last} died, so the records of these runs stay incompletely signed"
    assert f"{together}{REPEAT}" in said
    assert "the proof is" not in said


def test_keys_are_asked_for_only_for_runs_that_an_unknown_key_signed(bench, audit, tmp_path):
    attest(bench.folders[-1], throw_away_key(tmp_path))
    said = audit()[1]
    assert f"Next: {unsigned_runs.TRUST_KEYS}." in said
    for name in ("attestation.json", "attestation.json.sig"):
        (bench.folders[0] / name).unlink()
    assert f"Next: {unsigned_runs.TRUST_KEYS}; {unsigned_runs.REPEAT}." in audit()[1]
