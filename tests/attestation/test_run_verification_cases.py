"""Verification: each check separately, on a run or a suite with one change."""

import copy
import fcntl
import io
import json
import re
import shutil
import time

import pytest
from rich.console import Console

from drillbook.attestation import run_verification
from drillbook.cli import verify
from drillbook.cli.orchestration import Orchestrator
from drillbook.events.runs import RecoveryFinished, RecoveryStarted
from drillbook.journal.journal import FILE, Journal
from drillbook.journal.run_state import RunStates
from drillbook.plan import spec
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.signing import keys
from drillbook.values import digest
from tests.attestation.test_run_verification import checked, lines_of, rechained
from tests.attestation.test_sign_runs import SAMPLE
from tests.engine.test_runner import Bench
from tests.needs import need

ATTESTATION = "attestation.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of a run and of a suite with one drill; no test changes them."""
    need("ssh-keygen")
    bench = Bench(tmp_path_factory.mktemp("whole"))
    assert bench.run(SAMPLE).result.verdict == "passed"
    (bench.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample]\n")
    orchestrator = Orchestrator(Project(bench.root), bench.inventory, lambda event: None)
    suite = spec.load(bench.root / "drills" / "all.yml")
    folder, _ = orchestrator.run_suite(suite, orchestrator.plans(suite), lambda view: None)
    return bench.folder, folder


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "reports" / made[0].name, symlinks=True)


@pytest.fixture
def suite(made, tmp_path):
    return shutil.copytree(made[1], tmp_path / "reports" / made[1].name, symlinks=True)


def reseal(folder, **changes):
    """Change some keys of the attestation without signing it again."""
    content = json.loads((folder / ATTESTATION).read_text())
    (folder / ATTESTATION).write_text(json.dumps({**content, **changes}))


def unsigned(folder):
    for name in (ATTESTATION, f"{ATTESTATION}.sig"):
        (folder / name).unlink()


def changed(run, kind, edit):
    """Change one event of the journal, and recompute the chain of hashes."""
    lines = lines_of(run)
    number = next(place for place, line in enumerate(lines) if json.loads(line)["kind"] == kind)
    (run / FILE).write_bytes(rechained(lines, number, edit))


def shown(found):
    file = io.StringIO()
    verify.show(found, Console(file=file, width=100))
    return file.getvalue()


@pytest.mark.parametrize("events", [0, -1, None, "3", 1.0])
def test_an_attestation_that_does_not_say_how_long_the_journal_was_is_wrong(run, events):
    reseal(run, events=events)
    assert checked(run)[1]["end"] == "WRONG the attestation does not state the length of the journal"


@pytest.mark.parametrize("gaps", [3, [3], [[3]], [["3", "4"]], [[3, None]], {"3": 4}])
def test_an_attestation_that_does_not_say_which_events_are_unsigned_is_wrong(run, gaps):
    reseal(run, unvouched=gaps)
    assert checked(run)[1]["vouched"] == "WRONG the attestation does not state which events are unsigned"


def test_unsigned_events_are_told_as_lines_of_the_journal(run):
    reseal(run, unvouched=[[3, 5], [7, 7]])
    said = checked(run)[1]["vouched"]
    assert said.startswith("UNKNOWN the lines 4 to 6, 8 of the journal have no trusted signature: ")


def test_one_event_is_a_length(run):
    reseal(run, events=1, head=json.loads(lines_of(run)[0])["hash"])
    assert re.search(r"somebody added lines after the last signed event: \d+ lines, from line 2 on", checked(run)[1]["end"])
    (run / FILE).write_bytes(lines_of(run)[0])
    assert checked(run)[1]["end"].startswith("GOOD the journal ends with the last signed event, number 1 of 1: sha256:")


def test_a_journal_that_is_damaged_before_its_end_is_not_known_to_end_there(run):
    lines = lines_of(run)
    (run / FILE).write_bytes(b"".join([*lines[:2], lines[2].replace(b'"at"', b'"AT"'), *lines[3:]]))
    status, said = checked(run)
    assert status == 1
    assert said["end"].startswith("UNKNOWN ")
    assert "the journal is damaged before its end" in said["end"]
    assert said["journal"].startswith("WRONG line 3 ")
    assert said["evidence"] == "UNKNOWN the journal is damaged, so it may lack the names of some evidence files"
    assert said["reports"] == "UNKNOWN the files were not rendered again, because the journal is damaged"
    (run / FILE).write_bytes(b"".join([*lines[:2], b"{}\n", *lines[2:]]))
    assert checked(run)[1]["end"].startswith("WRONG ")


@pytest.mark.parametrize(
    ("keep", "alive", "told"),
    [
        (None, False, "GOOD the journal contains the end of the run"),
        (-1, True, "UNKNOWN the run is still in progress"),
        (-1, False, "UNKNOWN the run did not end: its controller died"),
        (0, False, "UNKNOWN it is unknown if the run ended, because the journal is damaged"),
    ],
)
def test_how_a_run_ended(run, keep, alive, told):
    lines = lines_of(run)[:keep] or [b"{}\n"]
    (run / FILE).write_bytes(b"".join(lines))
    with (run / FILE).open("rb") as file:
        if alive:
            fcntl.flock(file, fcntl.LOCK_EX)
        assert checked(run)[1]["ending"].startswith(told)


def test_the_end_of_a_recovery_is_not_called_the_end_of_the_run(run):
    (run / FILE).write_bytes(b"".join(lines_of(run)[:-1]))
    journal = Journal.resume(run, Redactor([]), origin=time.monotonic())
    journal.append(RecoveryStarted(tool="test", operator="nobody", controller="here"))
    journal.append(RecoveryFinished(residue=()))
    journal.close()
    said = checked(run)[1]["ending"]
    assert said == "GOOD the controller of the run died; a recovery ended the journal later"


def test_the_two_checks_of_an_end_have_different_names_in_the_terminal(run):
    text = shown(run_verification.verify(run, run.parent.parent, RunStates()))
    assert " run's end the journal contains the end of the run" in text
    assert " last line the journal ends with the last signed event" in text


def test_an_empty_journal_beside_nothing_is_not_known(tmp_path):
    run = tmp_path / "reports" / "20260101T000000.000Z-sample-0000"
    run.mkdir(parents=True)
    (run / FILE).write_bytes(b"")
    status, said = checked(run)
    assert (status, set(said)) == (1, {"journal", "ending", "signature", "evidence", "reports"})
    assert "the journal is empty" in said["journal"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda run: (run / ATTESTATION).write_text("{"),
            "WRONG attestation.json is not a valid attestation: the file was changed, or has an unknown format",
        ),
        (unsigned, "UNKNOWN there is no attestation.json: this run has no trusted signature"),
        (
            lambda run: (run / f"{ATTESTATION}.sig").unlink(),
            "UNKNOWN the attestation is not signed: the signature was removed",
        ),
        (
            lambda run: ((run / f"{ATTESTATION}.sig").unlink(), reseal(run, key=None, unsigned="no key")),
            "UNKNOWN the attestation is not signed: no key",
        ),
        (
            lambda run: ((run / f"{ATTESTATION}.sig").unlink(), reseal(run, key=None, unsigned="")),
            "UNKNOWN the attestation is not signed: no reason is given",
        ),
        (
            lambda run: reseal(run, exit=1),
            "WRONG the signature does not match: the attestation was changed after it was signed",
        ),
        (
            lambda run: ((run / f"{ATTESTATION}.sig").unlink(), (run / f"{ATTESTATION}.sig").mkdir()),
            "WRONG the signature does not match",
        ),
    ],
)
def test_what_a_signature_is_worth(run, change, told):
    change(run)
    status, said = checked(run)
    assert said["signature"].startswith(told)
    assert status != 0


def test_without_the_program_no_signature_can_be_checked(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    status, said = checked(run)
    assert (status, said["signature"]) == (3, f"UNKNOWN the signature could not be checked: {keys.NO_PROGRAM}")


def test_whose_key_signed(run, monkeypatch, tmp_path):
    public = json.loads((run / ATTESTATION).read_text())["key"]["public"]
    assert checked(run)[1]["signature"].startswith("GOOD signed with this machine's own key ")
    (tmp_path / "inventory").mkdir()
    allowed = tmp_path / keys.ALLOWED
    other = tmp_path / "other"
    keys._make(other)
    strange = other.with_name("other.pub").read_text()
    allowed.write_text(f"ann@example.com {public}\n")
    assert checked(run)[1]["signature"].startswith(
        "GOOD signed by ann@example.com, who is listed in inventory/allowed_signers (SHA256:"
    )
    allowed.write_text(f"bob@example.com {strange}")
    assert checked(run)[1]["signature"].startswith("GOOD signed with this machine's own key ")
    for chosen in (other, tmp_path / "nowhere"):
        monkeypatch.setenv(keys.CHOICE, str(chosen))
        allowed.write_text(f"bob@example.com {strange}")
        assert checked(run)[1]["signature"].startswith(
            "WRONG signed by a key that inventory/allowed_signers does not allow: SHA256:"
        )
        closing = shown(run_verification.verify(run, tmp_path, RunStates())).rpartition("✕ WRONG: ")[2]
        assert " ".join(closing.split()) == (
            "content was changed, or was signed by a key that is not allowed; see the checks marked ✕"
        )
        allowed.write_text(f'bob@example.com namespaces="drillbook-approval" {strange}')
        assert checked(run)[1]["signature"].startswith("UNKNOWN signed by an unknown key: SHA256:")
        allowed.unlink()
        assert checked(run)[1]["signature"].startswith("UNKNOWN signed by an unknown key: SHA256:")


def test_an_attestation_that_was_not_made_at_the_end_is_said(run):
    reseal(run, occasion="report", at="2026-01-01T00:00:00Z", attested_by="ann")
    assert checked(run)[1]["sealed"].startswith(
        "UNKNOWN no signature was made when the run ended, only at 2026-01-01T00:00:00Z by ann"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda run: None, "GOOD 7 files as attested"),
        (lambda run: (run / "report.md").unlink(), "WRONG missing: report.md"),
        (
            lambda run: ((run / "report.md").write_text("x"), (run / "plan.json").unlink()),
            "WRONG changed: report.md; missing: plan.json",
        ),
        (lambda run: (run / "more").write_text("x"), "UNKNOWN not attested, added later: more"),
        (
            lambda run: [(run / f"more-{n}").write_text("x") for n in range(5)],
            "UNKNOWN not attested, added later: more-0, more-1, more-2 and 2 more",
        ),
        (
            lambda run: [(run / f"more-{n}").write_text("x") for n in range(3)],
            "UNKNOWN not attested, added later: more-0, more-1, more-2",
        ),
    ],
)
def test_files_are_as_they_were_attested(run, change, told):
    change(run)
    assert checked(run)[1]["files"] == told


def test_every_file_that_the_journal_names_is_looked_at(run, tmp_path):
    count = sum(path.is_file() for path in (run / "evidence").iterdir())
    assert checked(run)[1]["evidence"] == f"GOOD {count} file with the same digests as in the journal"
    lines = lines_of(run)
    good = {"file": "evidence/deep", "sha256": digest(b"deep")}
    (run / "evidence" / "deep").write_bytes(b"deep")
    (run / "evidence" / "log").write_bytes(b"log")
    (tmp_path / "outside").write_bytes(b"deep")
    for facts, told in (
        ({"list": [1, {"in": good}]}, "GOOD 1 file with the same digests as in the journal"),
        ({"plain": "text"}, "GOOD the journal names no evidence file"),
        (
            {"in": {**good, "sha256": good["sha256"].removeprefix("sha256:")}},
            "GOOD 1 file with the same digests as in the journal",
        ),
        (
            {"in": [{**good, "sha256": digest(b"other")}]},
            "WRONG some files differ from their digests in the journal, or are missing: evidence/deep",
        ),
        (
            {"in": [{**good, "file": "evidence/gone"}]},
            "WRONG some files differ from their digests in the journal, or are missing: evidence/gone",
        ),
        (
            {"in": {**good, "file": "evidence/../../../outside"}},
            "WRONG some files differ from their digests in the journal, or are missing: evidence/../../../outside",
        ),
        ({"in": {"file": "elsewhere/x", "sha256": digest(b"")}}, "GOOD the journal names no evidence file"),
        ({"in": {"file": "evidence/deep", "sha256": None}}, "GOOD the journal names no evidence file"),
        ({"in": {"file": 1, "sha256": "x"}}, "GOOD the journal names no evidence file"),
    ):
        (run / FILE).write_bytes(b"".join(lines))
        changed(run, "done", lambda event, facts=facts: event["data"].update(facts=copy.deepcopy(facts)))
        assert checked(run)[1]["evidence"] == told

    def lease(event, wanted):
        event.update(kind="lease.log", data={"file": "evidence/log", "sha256": wanted})

    def broken(event, wanted):
        event.update(kind="failed")
        event["data"] |= {
            "facts": {"file": "evidence/log", "sha256": wanted},
            "findings": [],
            "allowed": None,
            "outcome": "failed",
        }

    for wanted, told in (
        (digest(b"log"), "GOOD 1 file with the same digests as in the journal"),
        (digest(b"x"), "WRONG some files differ from their digests in the journal"),
    ):
        (run / FILE).write_bytes(b"".join(lines))
        changed(run, "done", lambda event, wanted=wanted: lease(event, wanted))
        assert checked(run)[1]["evidence"].startswith(told)
        (run / FILE).write_bytes(b"".join(lines))
        changed(run, "done", lambda event, wanted=wanted: broken(event, wanted))
        assert checked(run)[1]["evidence"].startswith(told)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda event: event["data"].update(run="other"), "WRONG the folder {run} contains the journal of the run other"),
        (lambda event: event["data"]["plan"].update(title="Other"), "WRONG the digest of the plan does not match the plan"),
        (
            lambda event: event["data"].pop("plan"),
            "WRONG the first event of the journal does not name its run and its plan",
        ),
    ],
)
def test_a_journal_that_was_written_anew_says_something_else(run, edit, told):
    changed(run, "run.started", edit)
    assert checked(run)[1]["identity"] == told.format(run=run.name)


@pytest.mark.parametrize("key", ["run", "plan_digest", "previous_head"])
def test_an_attestation_of_another_run_says_something_else(run, key):
    said = checked(run)[1]["identity"]
    assert said.startswith(f"GOOD run {run.name}, plan sha256:")
    reseal(run, **{key: "other"})
    assert checked(run)[1]["identity"] == f"WRONG the attestation differs from the journal in: {key}"
    unsigned(run)
    assert checked(run)[1]["identity"] == said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("drill", "aaa"),
        ("drill", "zzz"),
        ("verdict", "failed"),
        ("exit", 1),
        ("exit", -1),
        ("environment", "aaa"),
        ("environment", "zzz"),
    ],
)
def test_a_verdict_that_the_journal_does_not_give_is_wrong(run, key, value):
    reseal(run, **{key: value})
    assert checked(run)[1]["reports"] == f"WRONG the attestation differs from the result of the journal in: {key}"


def test_reports_are_those_that_the_journal_gives(run):
    assert checked(run)[1]["reports"] == "GOOD 5 files: rendering them again gives exactly the same bytes"
    (run / "report.md").unlink()
    assert checked(run)[1]["reports"] == f"UNKNOWN missing: report.md; render them: invoke report {run.name}"
    (run / "plan.json").write_text("{}")
    assert checked(run)[1]["reports"] == "WRONG some files differ from the files rendered from the journal: plan.json"
    reseal(run, tool="drillbook 0.0.0")
    assert checked(run)[1]["reports"] == (
        "UNKNOWN rendered by drillbook 0.0.0, whose words differ; not as attested: plan.json, report.md"
    )
    unsigned(run)
    assert checked(run)[1]["reports"] == "WRONG some files differ from the files rendered from the journal: plan.json"


def test_a_journal_of_another_version_cannot_be_judged_and_says_why(run):
    changed(run, "run.started", lambda event: event["data"].pop("plan_digest"))
    assert checked(run)[1]["reports"].startswith(
        "UNKNOWN the journal could not be judged: ValueError: run.started: plan_digest: "
    )


def test_a_journal_that_cannot_be_read_is_not_known(run):
    (run / FILE).unlink()
    (run / FILE).mkdir()
    assert checked(run) == (3, {"journal": "UNKNOWN cannot be read: Is a directory"})


def test_an_untouched_suite_is_verified_with_its_drills(suite, made):
    found = run_verification.verify(suite, made[1].parent.parent, RunStates())
    assert run_verification.EXIT[found.mark] == 0, found
    assert [(one.what, one.mark.name) for one in found.checks] == [
        (what, "GOOD") for what in ("signature", "drills", "files", "reports")
    ]
    assert [one.said for one in found.checks][1:] == [
        "1 drill as attested",
        "4 files as attested",
        "3 files: rendering them again gives exactly the same bytes",
    ]
    (inner,) = found.inner
    assert (inner.name, inner.mark.name) == (inner_of(suite).name, "GOOD")
    text = shown(found).splitlines()
    assert text[0].strip() == suite.name
    assert f"{inner.name}  {len(inner.checks)} checks" in text[1]
    assert "ending" not in shown(found), "of a drill that is whole no check is told"
    assert text[-1] == "✓ verified: all examined files equal the signed content"


def inner_of(suite):
    (one,) = [path for path in suite.iterdir() if path.is_dir()]
    return one


@pytest.mark.parametrize(
    ("change", "what", "told"),
    [
        (lambda suite: shutil.rmtree(inner_of(suite)), "drills", "WRONG missing: {run}"),
        (lambda suite: shutil.copytree(inner_of(suite), suite / "more"), "drills", "WRONG not attested: more"),
        (
            lambda suite: reseal(inner_of(suite), exit=1),
            "drills",
            "WRONG the attestations of these drills are not those that the signed suite lists: {run}",
        ),
        (
            lambda suite: unsigned(inner_of(suite)),
            "drills",
            "WRONG the attestations of these drills are not those that the signed suite lists: {run}",
        ),
        (lambda suite: reseal(suite, runs=None), "drills", "WRONG not attested: {run}"),
        (lambda suite: reseal(suite, runs=["x"]), "drills", "WRONG not attested: {run}"),
        (lambda suite: (suite / "result.json").unlink(), "ending", "UNKNOWN the suite has no result: its controller died"),
        (
            lambda suite: (suite / "result.json").write_text("{"),
            "reports",
            "WRONG result.json cannot be read, or is not a valid result: the file was changed",
        ),
        (
            lambda suite: (suite / "result.json").write_text("{}"),
            "reports",
            "WRONG result.json cannot be read, or is not a valid result: the file was changed",
        ),
        (
            lambda suite: (inner_of(suite) / FILE).write_bytes(b"".join(lines_of(inner_of(suite))[1:])),
            "reports",
            "UNKNOWN the files were not rendered again, because a journal is damaged",
        ),
        (
            lambda suite: (inner_of(suite) / FILE).unlink(),
            "reports",
            "UNKNOWN the files were not rendered again: FileNotFoundError",
        ),
        (
            lambda suite: (suite / "report.md").write_text("x"),
            "reports",
            "WRONG some files differ from the files rendered from the journal: report.md",
        ),
        (
            lambda suite: (suite / "report.md").unlink(),
            "reports",
            "UNKNOWN missing: report.md; render them: invoke report {suite}",
        ),
        (
            lambda suite: edited(suite, verdict="failed"),
            "reports",
            "WRONG the suite states another verdict than the journal: sample",
        ),
        (lambda suite: edited(suite, exit=1), "reports", "WRONG the suite states another verdict than the journal: sample"),
    ],
)
def test_a_suite_that_was_changed_is_named(suite, made, change, what, told):
    run = inner_of(suite).name
    change(suite)
    found = run_verification.verify(suite, made[1].parent.parent, RunStates())
    assert run_verification.EXIT[found.mark] != 0
    said = {one.what: f"{one.mark.name} {one.said}" for one in found.checks}
    assert said[what].startswith(told.format(run=run, suite=suite.name))


def edited(suite, **changes):
    content = json.loads((suite / "result.json").read_text())
    content["runs"][0] |= changes
    (suite / "result.json").write_text(json.dumps(content))


def test_a_drill_of_a_suite_that_does_not_hold_is_told_with_what_is_wrong(suite, made):
    (inner_of(suite) / "report.md").write_text("x")
    found = run_verification.verify(suite, made[1].parent.parent, RunStates())
    text = shown(found)
    assert f"✕ {inner_of(suite).name}" in text
    assert "changed: report.md" in text
    assert "the journal contains the end of the run" not in text
    assert text.splitlines()[-1].startswith("✕ WRONG: ")
    assert max(one.mark for one in found.checks).name == "GOOD", "the suite itself is whole"
    assert found.mark.name == "WRONG"


def test_a_suite_whose_drills_nobody_attested_is_not_known(suite, made):
    unsigned(suite)
    found = run_verification.verify(suite, made[1].parent.parent, RunStates())
    assert [(one.what, one.mark.name) for one in found.checks] == [("signature", "UNKNOWN"), ("reports", "GOOD")]
