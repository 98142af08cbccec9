"""A terminal that is closed, or a TERM, at the end of a run: the record is written to its end, and nothing new begins."""

from __future__ import annotations

import os
import pty
import signal

import pytest

from drillbook.engine.stop_requests import Held, Stop, by_signals
from tests import waiting
from tests.program import PROGRAM, Folder, step
from tests.signers import waits_at_the_end


def in_terminal(folder, *argv):
    """Start the program as the leader of a session with its own terminal. Return its process ID and our end."""
    pid, ours = pty.fork()
    if pid == 0:
        os.chdir(folder.root)
        os.execve(PROGRAM[0], [*PROGRAM, *argv], folder.environment)
    return pid, ours


def closed_when(pid, ours, happens):
    """Read what the program prints until ``happens``; then close the terminal. Return the status of the program."""
    os.set_blocking(ours, False)

    def seen():
        try:
            os.read(ours, 65536)
        except BlockingIOError:
            pass
        return happens()

    waiting.until(seen, "the moment to close the terminal")
    os.close(ours)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def found(folder, pattern):
    return lambda: list((folder.root / "reports").glob(pattern))


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.write("")
    folder.write("", name="other")
    (tmp_path / "drills" / "both.yml").write_text("suite: both\ntitle: Both\ndrills: [sample, other]\n")
    return folder


@pytest.mark.parametrize("file", ["plan.json", "report.html"])
def test_a_terminal_closed_while_the_report_is_written_leaves_a_whole_record(folder, file):
    pid, ours = in_terminal(folder, "drill", "sample")
    status = closed_when(pid, ours, found(folder, f"*-sample*/{file}"))
    assert status == folder.result()["exit"] == 0
    run = folder.latest
    assert "sample" in run.name
    assert (run / "attestation.json").is_file()
    assert run.name in (folder.root / "reports" / "index.html").read_text()


@pytest.mark.parametrize("event", ["run.started", "run.finished"])
def test_a_terminal_closed_during_a_suite_leaves_a_report_of_the_suite(folder, event):
    def happens():
        return any(f'"kind":"{event}"' in path.read_text() for path in found(folder, "*/*-sample*/journal.jsonl")())

    pid, ours = in_terminal(folder, "drill", "both")
    closed_when(pid, ours, happens)
    assert "both" in folder.latest.name
    assert (folder.latest / "report.html").is_file()
    assert [run["drill"] for run in folder.result()["runs"]] == ["sample"]
    assert folder.latest.name in (folder.root / "reports" / "index.html").read_text()


def test_a_suite_that_is_told_to_end_during_a_cleanup_starts_no_further_drill(folder):
    waits = "touch DIR/cleaning; until test -e DIR/go; do sleep 0.05; done"
    folder.write("cleanup:\n" + step(["sh", "-c", waits]))
    with (folder.root / "output").open("wb") as output:
        suite = folder.start("drill", "both", stdout=output, stderr=output)
        waiting.until((folder.root / "cleaning").exists, "the cleanup of the first drill")
        suite.terminate()
        journals = found(folder, "*/*-sample*/journal.jsonl")
        waiting.until(lambda: '"kind":"signal"' in journals()[0].read_text(), "the signal in the journal")
        (folder.root / "go").touch()
        assert suite.wait(60) == folder.result()["exit"] != 0
    assert "both" in folder.latest.name
    assert [run["drill"] for run in folder.result()["runs"]] == ["sample"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_report_is_written_is_told_and_does_not_change_the_exit_status(folder, number):
    waits_at_the_end(folder, "sample")
    with (folder.root / "output").open("wb") as output:
        controller = folder.start("drill", "sample", stdout=output, stderr=output)
        waiting.until((folder.root / "signing").exists, "the signature of the run")
        controller.send_signal(number)
        told = f"{number.name}: the program ends when the record of the run is complete"
        waiting.until(lambda: told in (folder.root / "output").read_text(), "the message about the signal")
        (folder.root / "go").touch()
        status = controller.wait(60)
    assert status == folder.result()["exit"] == 0
    assert "PASSED" in (folder.root / "output").read_text().partition(told)[2]
    assert (folder.latest / "attestation.json.sig").is_file()
    assert folder.latest.name in (folder.root / "reports" / "index.html").read_text()


@pytest.mark.parametrize("block", [Held().back, lambda stop: by_signals(stop, None)])
def test_an_ignored_hup_stays_ignored_and_an_ignored_interrupt_stops_the_run(block):
    """nohup(1) starts a program with HUP ignored, and a script starts a program in the background with INT ignored."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    try:
        with block(Stop()):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            for number in (signal.SIGINT, signal.SIGTERM):
                assert signal.getsignal(number) not in (signal.SIG_IGN, signal.SIG_DFL)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_signal_is_delivered_once():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        held = Held()
        for number in (signal.SIGTERM, 0):
            with held.back(Stop()):
                if number:
                    signal.raise_signal(number)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_after_which_the_work_was_completed_is_not_delivered_and_known():
    """`schedule.run` starts no further drill then."""
    held = Held()
    with held.back(Stop()):
        with held.back(Stop()):
            signal.raise_signal(signal.SIGTERM)
        held.complete()
    assert held.signalled
    with held.back(Stop()):
        assert not held.signalled
