"""Verification: each later change of a journal, a report, evidence or a signature is reported by name."""

import io
import json
import shutil
import subprocess
import time

import pytest
from rich.console import Console

from drillbook.attestation import run_verification
from drillbook.cli import overview, recover, verify
from drillbook.errors import UnknownName
from drillbook.journal.journal import FILE, alive
from drillbook.journal.lines import walk
from drillbook.journal.run_state import RunStates
from drillbook.project.project import Project
from drillbook.signing import keys
from drillbook.values import canonical, digest
from tests.attestation.forging import rechained
from tests.attestation.test_sign_runs import SAMPLE
from tests.engine.test_runner import Bench
from tests.needs import need
from tests.program import Folder, step

pytestmark = pytest.mark.usefixtures("keygen")


@pytest.fixture(scope="module")
def keygen():
    return need("ssh-keygen")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, keygen):
    """A finished run that no test changes."""
    bench = Bench(tmp_path_factory.mktemp("whole"))
    view = bench.run(SAMPLE)
    assert view.result.verdict == "passed", view.result.reason
    return bench.folder


@pytest.fixture
def run(whole, tmp_path):
    """A copy that tests may change."""
    return shutil.copytree(whole, tmp_path / "reports" / whole.name, symlinks=True)


def checked(run):
    """Return the exit status, and the message of each check."""
    found = run_verification.verify(run, run.parent.parent, RunStates())
    return run_verification.EXIT[found.mark], {one.what: f"{one.mark.name} {one.said}" for one in found.checks}


def lines_of(run):
    return (run / FILE).read_bytes().splitlines(keepends=True)


def test_an_untouched_run_is_verified(run):
    status, said = checked(run)
    assert status == 0, said
    assert set(said) == {"journal", "ending", "signature", "end", "files", "evidence", "identity", "reports"}


def test_every_byte_that_is_changed_is_named_by_its_line(whole):
    data = (whole / FILE).read_bytes()
    for position in range(0, len(data), 11):
        for change in (1, 0x20):  # 0x20 changes nothing but the case of a letter
            found = walk(data[:position] + bytes([data[position] ^ change]) + data[position + 1 :])
            line = data[:position].count(b"\n") + 1
            if found.torn:
                assert position == len(data) - 1, f"byte {position}"
            else:
                assert found.line == line, f"byte {position} of line {line}: {found}"
                assert f"{line} w" in found.wrong
    assert not walk(data).line


def test_a_line_written_differently_with_the_same_meaning_is_named(run):
    lines = lines_of(run)
    for number, other in ((1, lines[1].replace(b'":', b'": ', 1)), (2, lines[2].replace(b"\n", b"\r\n"))):
        assert walk(b"".join([*lines[:number], other, *lines[number + 1 :]])).line == number + 1


def test_every_line_that_is_removed_is_named(run):
    lines = lines_of(run)
    for number in range(len(lines) - 1):
        found = walk(b"".join(lines[:number] + lines[number + 1 :]))
        assert (found.line, found.wrong.partition(":")[0]) == (number + 1, f"line {number + 1} was removed")
    assert walk(b"".join(lines[:2] + lines[3:])).wrong == "line 3 was removed: the former line 4 is now line 3"
    assert walk(b"".join(lines[:2] + lines[5:])).wrong == "lines 3 to 5 were removed: the former line 6 is now line 3"


def test_every_pair_of_lines_that_is_swapped_is_named(run):
    lines = lines_of(run)
    for number in range(len(lines) - 1):
        found = walk(b"".join([*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]))
        assert found.line == number + 1
        assert f"lines {number + 1} and {number + 2} were swapped" in found.wrong


def test_every_line_that_is_added_is_named(run):
    lines = lines_of(run)
    for number in range(1, len(lines)):
        for more in (lines[0], b"{}\n", b"nonsense\n", b"\n"):
            found = walk(b"".join([*lines[:number], more, *lines[number:]]))
            assert (found.line, found.wrong.partition(":")[0]) == (number + 1, f"line {number + 1} was added")
    assert walk(b"".join([*lines, lines[1]])).wrong == f"line {len(lines) + 1} was added: it repeats line 2"


def test_every_tail_that_is_cut_is_told_by_the_signed_head(run):
    lines = lines_of(run)
    for kept in range(1, len(lines)):
        (run / FILE).write_bytes(b"".join(lines[:kept]))
        status, said = checked(run)
        assert status == 1
        assert f"the end was cut off, from line {kept + 1} on" in said["end"]
        assert f"{len(lines)} events were signed" in said["end"]


def test_a_tail_that_is_cut_with_the_attestation_removed_is_never_verified(run):
    lines = lines_of(run)
    (run / FILE).write_bytes(b"".join(lines[:-1]))
    for name in ("attestation.json", "attestation.json.sig"):
        (run / name).unlink()
    status, said = checked(run)
    assert status != 0
    assert "lines may have been cut" in said["signature"]
    assert "the run did not end" in said["ending"]
    (run / FILE).write_bytes(b"".join(lines))
    status, said = checked(run)
    assert status == 3
    assert "no trusted signature" in said["signature"]


def test_a_torn_last_line_is_said(run):
    (run / FILE).write_bytes((run / FILE).read_bytes()[:-20])
    status, said = checked(run)
    assert status == 1
    assert f"the last line, {len(lines_of(run))}, is incomplete" in said["journal"]


def forge(run):
    lines = lines_of(run)
    number = next(place for place, line in enumerate(lines) if json.loads(line)["kind"] == "done")
    (run / FILE).write_bytes(rechained(lines, number, lambda event: event["data"].update(seconds=0.001)))
    assert not walk((run / FILE).read_bytes()).line, "the chain itself is whole"


def attest(run):
    """Attestation that matches the forged journal."""
    content = json.loads((run / "attestation.json").read_text())
    content["head"] = json.loads(lines_of(run)[-1])["hash"]
    content["files"][FILE]["sha256"] = digest((run / FILE).read_bytes())
    (run / "attestation.json").write_text(json.dumps(content, indent=2) + "\n")


def test_a_journal_written_anew_without_the_key_is_found(run):
    forge(run)
    status, said = checked(run)
    assert status == 1
    last = len(lines_of(run))
    assert said["end"] == f"WRONG line {last} differs from the signed line: the journal was rewritten"
    attest(run)
    status, said = checked(run)
    assert status == 1
    assert "the attestation was changed after it was signed" in said["signature"]
    (run / "attestation.json.sig").unlink()
    status, said = checked(run)
    assert status != 0
    assert "UNKNOWN the attestation is not signed: the signature was removed" in said["signature"]


def test_a_journal_written_anew_and_signed_with_another_key_is_never_verified(run, tmp_path):
    forge(run)
    attest(run)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "forger"], check=True)
    (run / "attestation.json.sig").write_bytes(keys.sign((run / "attestation.json").read_bytes(), tmp_path / "forger"))
    status, said = checked(run)
    assert status != 0
    assert "UNKNOWN signed by an unknown key" in said["signature"]
    (run.parent.parent / "inventory").mkdir()
    (run.parent.parent / keys.ALLOWED).write_text(
        f"ann {json.loads((run / 'attestation.json').read_text())['key']['public']}\n"
    )
    assert "WRONG" in checked(run)[1]["signature"]


def test_lines_added_behind_the_signed_end_are_named(run):
    lines = lines_of(run)
    last = json.loads(lines[-1])
    for kind, status, mark in (
        ("note", 1, "somebody added lines after the last signed event"),
        ("recovery.started", 3, "without signing them"),
    ):
        event = {**last, "kind": kind, "seq": last["seq"] + 1, "prev": last["hash"], "data": {"operator": "somebody"}}
        del event["hash"]
        more = canonical(event | {"hash": digest(canonical(event))}) + b"\n"
        (run / FILE).write_bytes(b"".join([*lines, more]))
        _, said = checked(run)
        assert mark in said["end"]
        assert ("WRONG" in said["end"]) == (status == 1)


@pytest.mark.parametrize("name", ["plan.json", "result.json", "report.html", "report.md", "junit.xml"])
def test_a_report_that_was_changed_is_named(run, name):
    data = (run / name).read_bytes()
    (run / name).write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    status, said = checked(run)
    assert status == 1
    assert f"WRONG changed: {name}" in said["files"]
    assert f"WRONG some files differ from the files rendered from the journal: {name}" in said["reports"]
    (run / name).unlink()
    status, said = checked(run)
    assert status == 1
    assert f"missing: {name}" in said["files"]


def test_evidence_that_was_changed_is_named_also_without_an_attestation(run):
    kept = next((run / "evidence").iterdir())
    kept.write_text("something else")
    for name in ("attestation.json", "attestation.json.sig"):
        (run / name).unlink()
    status, said = checked(run)
    assert status == 1
    assert f"evidence/{kept.name}" in said["evidence"]


def test_a_folder_that_was_renamed_is_named(run):
    other = run.rename(run.with_name("20200101T000000.000Z-sample-0000"))
    assert "contains the journal of the run" in checked(other)[1]["identity"]


def emptied(run):
    (run / FILE).write_bytes(b"")
    return "is empty"


def taken_away(run):
    (run / FILE).unlink()
    return "is gone"


@pytest.mark.parametrize("take", [emptied, taken_away])
def test_a_journal_that_was_emptied_or_taken_away_is_wrong(run, capsys, take):
    events = len(lines_of(run))
    state = take(run)
    project = Project(run.parent.parent)
    (project.root / "drills").mkdir()
    status, said = checked(run)
    assert (status, said["journal"]) == (1, f"WRONG {events} events were signed, but the journal {state}")
    assert "GOOD" in said["signature"]
    for name in ("", run.name, "sample"):
        assert verify.verify(project, name) == 1
    capsys.readouterr()
    assert overview.drills(project) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"journal lost: {run.name} {events} events were signed, but the journal {state}: drillbook report.verify" in text
    assert overview.runs(project) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if run.name in line)
    assert "journal lost" in row
    assert "passed" not in row


def test_a_run_of_a_suite_whose_journal_was_taken_away_is_wrong(run, capsys):
    suite = run.parent / "20260101T000000.000Z-all-0000"
    suite.mkdir()
    run.rename(suite / run.name)
    project = Project(run.parent.parent)
    (suite / run.name / FILE).unlink()
    assert project.lost() == [suite / run.name]
    assert project.run(suite.name, suites=True, lost=True) == suite
    found = run_verification.verify(suite, project.root, RunStates())
    assert [one.name for one in found.inner] == [run.name]
    assert run_verification.EXIT[found.mark] == 1
    with pytest.raises(UnknownName, match=r"the journal of .* no longer exists"):
        project.run(run.name)
    assert overview.runs(project) == 0
    assert "journal lost" in capsys.readouterr().out


def test_names_of_runs(tmp_path):
    bench = Bench(tmp_path)
    bench.run(SAMPLE)
    first = bench.folder
    bench.run(SAMPLE)
    project = Project(bench.root)
    assert project.run() == project.run("latest") == project.run("sample") == bench.folder
    assert project.run(first.name) == project.run(first.name[:19]) == project.run(first.name[-4:]) == first
    for name, said in (("2", "2 runs match the name"), ("no-such", "there is no run 'no-such'")):
        with pytest.raises(UnknownName) as caught:
            project.run(name)
        assert said in caught.value.message
        assert bench.folder.name in caught.value.hint
    assert verify.verify(project, "sample") == 0


def test_a_killed_run_has_no_ending_until_it_is_recovered(tmp_path):
    folder = Folder(tmp_path)
    folder.write("restore:\n" + step(["sleep", "300"]))
    with folder.start("drill", "sample", "--json", stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            if json.loads(line)["kind"] == "step.started":
                run = Project(tmp_path).run()
                status, said = checked(run)
                program.kill()
                break
    assert (status, said["ending"]) == (3, "UNKNOWN the run is still in progress")
    end = time.monotonic() + 30
    while alive(run):  # a command that the controller was starting keeps the journal open until it has begun
        assert time.monotonic() < end
        time.sleep(0.05)
    status, said = checked(run)
    assert status == 3
    assert "the run did not end: its controller died, so perhaps not all its changes are undone" in said["ending"]
    verified = run_verification.verify(run, tmp_path, RunStates())
    assert [check.next for check in verified.checks if check.what == "ending"] == [f"invoke drill.recover {run.name}"]
    file = io.StringIO()
    verify.show(verified, Console(file=file, width=80))
    assert file.getvalue().splitlines()[-1].endswith(f"drill.recover {run.name}"), "the next step comes last"
    assert recover.recover(Project(tmp_path), "sample") == 0
    status, said = checked(run)
    assert status == 3
    assert said["ending"].startswith("GOOD")
    assert said["signature"].startswith("GOOD")
    assert "no signature was made when the run ended" in said["sealed"]


def test_what_is_printed_fits_80_columns(run):
    (run / "evidence" / ("long-name-" * 12)).write_text("added")
    file = io.StringIO()
    verify.show(run_verification.verify(run, run.parent.parent, RunStates()), Console(file=file, width=80))
    lines = file.getvalue().splitlines()
    assert lines[0].strip() == run.name
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("? not verified")
