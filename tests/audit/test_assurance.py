"""Assurance about the record: signatures, and anchors that are not writable for a user of ``reports/``."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest

from drillbook.attestation import anchor_places
from drillbook.attestation.anchor_lines import Known
from drillbook.audit import assurance, content, records, unsigned_runs, wording
from drillbook.audit.period import Period
from drillbook.cli import recover, verify
from drillbook.errors import UsageError
from drillbook.journal.run_state import RunStates
from drillbook.project.project import Project
from tests.attestation.forging import attest, chained, journal, throw_away_key
from tests.attestation.test_sign_runs import SAMPLE
from tests.audit import stories
from tests.report.test_agreement import plain

EMPTY = content.make([], [], Period.parse("2026-01-01", "2026-12-31"))


def verified(bench, name=""):
    return verify.verify(Project(bench.root), name)


def last(said):
    """State of the record, which stands before the next step or the number of drills."""
    return re.findall(
        r"The record is .*?(?=\. (?:Next[:,]|Exit \d|\d+ runs? of|\d+ of the|All \d|The only drill|No run))", said
    )[-1]


def test_a_run_that_ends_while_the_audit_reads_the_journals_is_not_missing(bench, audit, monkeypatch):
    find = records.find

    def found(reports, runs):
        read = find(reports, runs)
        bench.run(SAMPLE)
        return read

    monkeypatch.setattr(records, "find", found)
    assert audit()[0] == 0


def test_a_signed_record_that_an_anchor_knows_is_vouched_for(bench, audit):
    status, said = audit()
    places = [
        said.index(text)
        for text in ("Recovery drills from 2000", "The record is ", "Services by their newest runs: ", "Fully proven: ")
    ]
    assert places == sorted(places), "the result is the last line, below the state of the record"
    assert (status, last(said)) == (
        0,
        "The record is complete. The only trusted signature of the record is that of this machine's own key",
    )
    for name in ("audit.html", "audit.md"):
        page = re.sub(r"[\s\\|]", "", plain((bench.root / "audit" / name).read_text()))
        assert re.search(r"Signedbythismachine.sownkey\(SHA256:[^)]+\):3runsofdrills", page), name
    data = json.loads((bench.root / "audit" / "audit.json").read_text())
    assert (data["whole"], data["vouched"], data["unvouched"]) == (True, True, [])
    assert "3 runs" in data["anchors"][0]
    assert verified(bench) == 0


def test_the_audit_and_the_summary_say_how_another_key_comes_to_sign(bench, audit):
    """The next step is possible: after the key was added to the list, its name is shown, and the step is gone."""
    _, said = audit()
    names = ("audit.html", "audit.md", "summary.html")
    pages = [" ".join(plain((bench.root / "audit" / name).read_text()).replace("\\", "").split()) for name in names]
    for text in (said, *pages):
        assert wording.SIGN_BY_OTHERS.replace("`", "") in text.replace("`", "")
        assert wording.OWN_ONLY in text
    public = json.loads((bench.folder / "attestation.json").read_text())["key"]["public"]
    (bench.root / "inventory").mkdir(exist_ok=True)
    (bench.root / "inventory" / "allowed_signers").write_text(f'ann namespaces="drillbook-attestation" {public}\n')
    status, said = audit()
    assert (status, last(said)) == (0, "The record is complete and has trusted signatures")
    assert "Next: " not in said
    assert "signed by ann" in said or "ann, who is listed" in (bench.root / "audit" / "audit.md").read_text()


def test_a_run_that_nobody_signed_is_named(bench, audit):
    _, second, _ = bench.folders
    for name in ("attestation.json", "attestation.json.sig"):
        (second / name).unlink()
    status, said = audit()
    assert status == 3
    assert last(said).startswith("The record is complete, but not every run has a trusted signature")
    assert f"No trusted signature: {second.name}: there is no attestation.json" in said
    page = re.sub(r"[\s\\|]", "", plain((bench.root / "audit" / "audit.html").read_text()))
    assert re.search(r":2runsofdrills;notrustedsignature:1runofadrill", page), "the head counts only what is signed"
    assert unsigned_runs.REPEAT in said
    assert unsigned_runs.TRUST_KEYS not in said, "no key signed the run"


def test_runs_without_a_signature_for_the_same_reason_are_named_together(bench, audit):
    for folder in bench.folders:
        for name in ("attestation.json", "attestation.json.sig"):
            (folder / name).unlink()
    _, said = audit()
    assert said.count("No trusted signature") == 1
    assert "No trusted signature: 3 runs (" in said
    assert f"{bench.folders[2].name}): there is no attestation.json" in said, "a single other run is not left out"
    page = (bench.root / "audit" / "audit.html").read_text()
    assert page.count("No trusted signature") == 1
    assert all(folder.name in page for folder in bench.folders)


def test_a_run_that_was_written_anew_and_signed_with_another_key_is_named(bench, audit, tmp_path):
    last = bench.folders[-1]
    events = journal(last)
    (last / "journal.jsonl").write_bytes(chained([event for event in events if event["kind"] != "phase.started"]))
    attest(last, throw_away_key(tmp_path))
    status, said = audit()
    assert status == 3
    assert "anchor-differs" in said
    assert "signed by an unknown key" in said
    assert verified(bench) == 1


@pytest.mark.parametrize("gone", [1, 2])
def test_that_the_newest_runs_were_removed_shows(bench, audit, gone, capsys):
    for folder in bench.folders[-gone:]:
        shutil.rmtree(folder)
    status, said = audit()
    assert status == 3
    assert last(said).startswith(f"The record is not complete: {gone} problem")
    if gone == 1:
        assert f"anchor-missing: the run {bench.folders[-1].name} is missing" in said
    else:
        assert (
            said.count("anchor-missing: 2 runs are missing, but are named by the anchor in ")
            == said.count("anchor-missing")
            == 1
        )
        assert said.count("Restore the folders from a backup") == 1
        for name in ("audit.html", "audit.md"):
            page = (bench.root / "audit" / name).read_text()
            assert page.count("anchor-missing") == 1
            assert all(folder.name in page for folder in bench.folders[-2:])
    assert verified(bench) == verified(bench, "sample") == 3
    assert f"newer run{'s' if gone > 1 else ''} that" in " ".join(capsys.readouterr().out.split())
    assert verified(bench, bench.folders[0].name) == 0, "that run itself is as it was signed"


def test_an_older_copy_in_place_of_a_newer_one_shows(bench, audit, tmp_path):
    """An old state of a run, which still reported residue, replaces the state after its recovery."""
    bench.run(
        "inject:\n  - command.run: {argv: [touch, DIR/broken], effect: fault, undo: [test, -e, DIR/mended], proof: "
        "[test, -e, DIR/broken]}\n    hosts: controller\n"
    )
    shutil.copytree(bench.folder, tmp_path / "older")
    (bench.root / "broken").unlink()
    (bench.root / "mended").touch()
    assert recover.recover(Project(bench.root), bench.folder.name) == 0
    assert verified(bench) == 0
    shutil.rmtree(bench.folder)
    shutil.copytree(tmp_path / "older", bench.folder)
    assert verified(bench) == 1
    status, said = audit()
    assert (status, "an older copy replaced the journal" in said) == (3, True)


def test_without_an_anchor_an_audit_says_so(bench, audit):
    anchor = anchor_places.default(bench.root / "reports")
    elsewhere = anchor.rename(bench.root / "elsewhere")
    status, said = audit()
    assert (status, last(said)) == (
        3,
        (
            "The record is complete, compared with no anchor. The only trusted signature of the record is that of this machine's own key, and "
            "nobody else vouches for the record"
        ),
    )
    assert "There is no anchor to compare with" in said
    assert audit(anchor=str(elsewhere))[0] == 0
    with pytest.raises(UsageError, match="does not exist"):
        audit(anchor=str(bench.root / "missing"))
    assert verified(bench) == 0, "a run of before anchors is verified as before"


def pages_of(bench):
    """Both pages of an audit as text without marks."""
    texts = [plain((bench.root / "audit" / name).read_text()).replace("\\", "") for name in ("audit.html", "audit.md")]
    return [" ".join(text.split()) for text in texts]


def test_what_the_record_cannot_prove_is_written_for_a_record_with_an_anchor(bench, audit):
    audit()
    for page in pages_of(bench):
        assert "The journals were compared with an anchor." in page
        assert "Without an anchor" not in page
        assert "compare the digests below" not in page
        assert "confirms the existence of" not in page, "the anchor names every event"
    assert json.loads((bench.root / "audit" / "audit.json").read_text())["unanchored"] == []
    anchor_places.default(bench.root / "reports").unlink()
    audit()
    for page in pages_of(bench):
        assert "The journals were compared with an anchor." not in page
        assert "Without an anchor, the removal of the newest journal" in page
        assert "So compare the digests below" in page
        assert "No later run confirms the existence of" in page
        assert f"{bench.folders[-1].name}: all " in page


def test_events_after_the_newest_anchor_are_named(bench, audit):
    """The first anchor of a run is written before its last events."""
    anchor = anchor_places.default(bench.root / "reports")
    lines = anchor.read_text().splitlines(keepends=True)
    begun = next(line for line in lines if bench.folders[-1].name in line)
    kept = [line for line in lines if bench.folders[-1].name not in line]
    anchor.write_text("".join([*kept, begun]))
    rest = len(journal(bench.folders[-1])) - json.loads(begun)["events"]
    assert rest > 0
    audit()
    for page in pages_of(bench):
        assert "Neither a later run nor an anchor confirms the existence of" in page
        assert f"{bench.folders[-1].name}: its last {rest} events, written after the anchor in " in page
    anchor.write_text("".join(kept))
    audit()
    for page in pages_of(bench):
        assert (
            f"{bench.folders[-1].name}: all {len(journal(bench.folders[-1]))} events, because neither a later run nor an anchor"
            in page
        )


def test_an_anchor_that_a_journal_contradicts_confirms_no_event(bench, audit):
    last = bench.folders[-1]
    events = journal(last)
    (last / "journal.jsonl").write_bytes(chained([event for event in events if event["kind"] != "phase.started"]))
    audit()
    (one,) = json.loads((bench.root / "audit" / "audit.json").read_text())["unanchored"]
    assert one.startswith(f"{last.name}: all ")


def test_signatures_and_anchors_that_were_not_examined_are_not_called_missing(book):
    stories.quiet(book)
    period = Period.parse("2026-01-01", "2026-12-31")
    read, strays = records.find(book.reports)
    unchecked = content.make(read, strays, period)
    told = dict(wording.facts(unchecked))
    assert (told["Signed by"], told["Anchors"]) == ("not examined", "not examined")
    checked = replace(unchecked, assurance=assurance.assure(read, period, Project(book.root), Known(), RunStates()))
    told = dict(wording.facts(checked))
    assert (told["Signed by"], told["Anchors"]) == ("nobody", "none")


def test_a_second_anchor_is_written_where_its_place_is_named(bench, audit, monkeypatch):
    second = bench.root / "mounted" / "anchor.jsonl"
    monkeypatch.setenv("DRILLBOOK_ANCHOR", str(second))
    bench.run(SAMPLE)
    lines = [json.loads(line) for line in second.read_text().splitlines()]
    assert {line["run"] for line in lines} == {bench.folder.name}
    assert [line["occasion"] for line in lines] == ["begin", "run"]
    assert lines[-1]["head"] == journal(bench.folder)[-1]["hash"]
    anchor_places.default(bench.root / "reports").unlink()
    shutil.rmtree(bench.folder)
    assert audit()[0] == verified(bench) == 3


def test_a_line_of_an_anchor_that_was_torn_is_left_out(bench, audit):
    anchor = anchor_places.default(bench.root / "reports")
    anchor.write_bytes(anchor.read_bytes() + b'{"schema": "drillbook/anchor/1", "run": 3\nnonsense\n\xff\n')
    assert audit()[0] == 0
    assert verified(bench) == 0


def test_anchors_that_cannot_be_read_are_no_runs(book):
    known = Known({}, {}, ("s3://anchors: no answer", "/mnt/anchors: permission denied"))
    stories.quiet(book)
    read, strays = records.find(book.reports)
    period = Period.parse("2026-01-01", "2026-12-31")
    found = assurance.assure(read, period, Project(book.root), known, RunStates())
    assert set(known.unread) == set(found.unread) < set(found.unvouched)
    audit = content.make(read, strays, period, found)
    said = wording.assurance(audit)
    assert "Anchors that could not be read: s3://anchors: no answer" in said
    assert not any(text.startswith("No trusted signature") and "anchors" in text for text in said)
    assert wording.record_state(audit) == "The record is complete, but has no trusted signature"
    signed = replace(audit, assurance=replace(found, unsigned=()))
    assert (
        wording.record_state(signed)
        == "The record is complete and has trusted signatures, but not every anchor could be read"
    )
    assert not signed.vouched


def test_a_weak_anchor_is_no_missing_signature(book):
    """The next step concerns the anchor. Adding keys would not help."""
    stories.quiet(book)
    read, strays = records.find(book.reports)
    run = read[0].run
    period = Period.parse("2026-01-01", "2026-12-31")
    known = Known({}, {}, (), {run: ("the anchor in s3://anchors is not locked",)})
    found = assurance.assure(read, period, Project(book.root), known, RunStates())
    assert found.weak == (f"{run}: the anchor in s3://anchors is not locked",)
    assert set(found.weak) < set(found.unvouched)
    audit = content.make(read, strays, period, found)
    assert f"Weak anchor: {run}: the anchor in s3://anchors is not locked" in wording.assurance(audit)
    signed = replace(audit, assurance=replace(found, unsigned=()))
    assert "trusted signatures, but not every run has an anchor that is strong evidence" in wording.record_state(signed)
    assert wording.signing_step(signed) == wording.STRONGER
    assert not signed.vouched
