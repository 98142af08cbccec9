"""Live view: at 80 columns, with many threads, on a blocked terminal, and for a real run."""

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rich.cells import cell_len
from rich.console import Console

from drillbook.journal.journal import Event
from drillbook.report.terminal.event_lines import Progress
from drillbook.report.terminal.live_view import LiveView, render
from tests.contents import filled
from tests.program import PROGRAM, Folder, fault, step
from tests.waiting import nothing_happens_for, unchanged_for, until

STEPS = [{"id": "restore.1", "hosts": ["db-1"]}, {"id": "restore.2", "hosts": [f"app-{n}" for n in range(1, 10)]}]
PLAN = {
    "drill": "database-lost",
    "title": "Lose it",
    "objectives": {"rto": 120.0},
    "steps": STEPS,
    "inventory": {"environment": "lab"},
}


class Tape:
    """Events of a run, one after another."""

    def __init__(self, observer):
        self.observer, self.begun, self.seq = observer, time.monotonic(), 0

    def __call__(self, kind, data, step=None, host=None, clock=None):
        self.seq += 1
        clock = time.monotonic() - self.begun if clock is None else clock
        self.observer(
            Event(
                seq=self.seq,
                at="2026-01-01T00:00:00.000000Z",
                clock=clock,
                kind=kind,
                step=step,
                host=host,
                data=filled(kind, data),
                prev=None,
                hash="sha256:",
            )
        )

    def start(self):
        self(
            "run.started",
            {"run": "20260101T000000.000Z-database-lost-0000", "plan": PLAN, "plan_digest": "sha256:" + "0" * 64},
        )

    def step(self, step, host, name, ended=False):
        if ended:
            self("done", {"facts": {}, "seconds": 1.0, "attempts": 1}, step, host)
        else:
            self(
                "step.started",
                {"action": "postgres.restore", "phase": "restore", "name": name, "effect": "write", "params": {}},
                step,
                host,
            )


def picture(view, width=80):
    out = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    out.print(render(view.board, width))
    lines = out.file.getvalue().splitlines()
    assert all(cell_len(line) <= width - 1 for line in lines)
    return "\n".join(lines)


def test_a_canary_shows_only_what_is_known_before_its_rows_are_read_back():
    view = LiveView(Console(file=io.StringIO(), width=80))
    tape = Tape(view)
    tape.start()
    tape("probe.started", {"probe": "p", "name": "postgres.canary", "kind": "canary", "every_s": 0.1, "timeout_s": 1.0})
    refused, doubted = [[3, 0.3, "refused", 0.31]], [[4, 0.4, "timeout", 1.4]]
    tape(
        "canary.writes",
        {"probe": "p", "acknowledged": [[1, 0.1, 0.11], [2, 0.2, 0.21]], "lost": refused, "in_doubt": doubted},
    )
    assert "● REFUSED 2 acknowledged, 1 refused, 1 in doubt" in picture(view)
    assert "survive" not in picture(view)
    assert " lost" not in picture(view)
    tape("canary.survivors", {"probe": "p", "ranges": [[1, 1], [4, 4]], "count": 2})
    assert "● REFUSED 2 acknowledged, 1 refused, 1 in doubt" in picture(view), (
        "more rows may be found than were acknowledged"
    )


@pytest.fixture
def view():
    return LiveView(Console(file=io.StringIO(), width=80, force_terminal=True))


def test_hosts_stand_side_by_side(view):
    tape = Tape(view)
    tape.start()
    tape("phase.started", {"phase": "restore"})
    for host in STEPS[1]["hosts"][:7]:
        tape.step(
            "restore.2", host, "把数据库恢复到一个新的集群里 and start every one of the application's servers again after it"
        )
    tape.step("restore.2", "app-1", "", ended=True)
    shown = picture(view)
    assert "1 of 9 hosts" in shown
    rows = [line for line in shown.splitlines() if "app-" in line]
    assert rows[0].count("app-") >= 3
    assert "✓ app-1" in rows[0]
    assert "app-9 waiting" in shown
    for host in STEPS[1]["hosts"][1:]:
        tape.step("restore.2", host, "x")
        tape.step("restore.2", host, "", ended=True)
    assert "app-" not in picture(view)


def test_hosts_that_do_not_fit_are_counted(view):
    hosts = [f"app-{number:03}" for number in range(100)]
    tape = Tape(view)
    plan = PLAN | {"steps": [{"id": "restore.1", "hosts": hosts}]}
    tape("run.started", {"run": "r", "plan": plan, "plan_digest": "sha256:" + "0" * 64})
    tape("phase.started", {"phase": "restore"})
    tape.step("restore.1", hosts[0], "Start the application")
    lines = picture(view).splitlines()
    seen = sum(line.count("app-") for line in lines)
    assert 0 < seen < len(hosts)
    assert f"and {len(hosts) - seen} more hosts" in lines[-1]
    assert len(lines) == 1 + 8


def test_the_recovery_clock(view):
    tape = Tape(view)
    tape.start()
    tape("probe.started", {"probe": "probe.1", "name": "http.available", "kind": "availability"})
    tape(
        "probe.samples",
        {
            "probe": "probe.1",
            "samples": [[0.1, 0.11, True, None], [0.2, 0.21, False, "early"], [0.3, 0.31, True, None]],
            "late": 0,
        },
        clock=0.5,
    )
    assert "RTO" not in picture(view), "nothing was broken yet"
    view.board._zero = time.monotonic() - 10
    tape("intent", {"effect": "fault"}, "inject.1", "db-1", clock=1.0)
    assert "no probe has seen an outage yet" in picture(view)
    tape("probe.samples", {"probe": "probe.1", "samples": [[1.1, 1.2, False, "refused"]], "late": 0}, clock=1.5)
    assert re.search(r"http.available ● BAD", picture(view))
    assert float(re.search(r"DOWN ([\d.]+) s .* RTO objective 2 min", picture(view))[1]) == pytest.approx(9.0, abs=0.5)
    tape(
        "probe.samples",
        {"probe": "probe.1", "samples": [[5.0, 5.5, True, None], [6.0, 6.1, True, None]], "late": 0},
        clock=6.5,
    )
    assert "serving again after 4.5 s" in picture(view)
    assert "not verified yet" in picture(view)
    tape("probe.samples", {"probe": "probe.1", "samples": [[7.0, 7.1, False, "relapse"]], "late": 0}, clock=7.5)
    assert "DOWN" in picture(view)
    view.board._zero = time.monotonic() - 200
    assert "MISSED" in picture(view)


def test_bytes_and_rates(view):
    tape = Tape(view)
    tape.start()
    tape("phase.started", {"phase": "restore"})
    tape.step("restore.1", "db-1", "Restore")
    tape("progress", {"what": "from the store", "bytes": 0, "total": 100 << 20}, "restore.1", "db-1", clock=1.0)
    tape("progress", {"what": "from the store", "bytes": 50 << 20, "total": 100 << 20}, "restore.1", "db-1", clock=6.0)
    assert "50.0 MiB of 100.0 MiB  10.0 MiB/s" in picture(view)
    tape("progress", {"what": "from the store", "bytes": 100 << 20, "total": 100 << 20}, "restore.1", "db-1", clock=9.0)
    assert "100.0 MiB are transferred; the step goes on" in picture(view)
    lines = []
    progress = Progress(Console(width=80), lines.append)
    tape = Tape(progress)
    tape("progress", {"what": "from the store", "bytes": 0, "total": 100 << 20}, "restore.1", "db-1", clock=1.0)
    tape("progress", {"what": "from the store", "bytes": 50 << 20, "total": 100 << 20}, "restore.1", "db-1", clock=6.0)
    tape.step("restore.1", "db-1", "", ended=True)
    assert "50.0 MiB from the store in 5.0 s, 10.0 MiB/s" in str(lines[-1].text)


def test_what_a_target_says_cannot_reach_the_terminal(view):
    evil = "\x1b[2J\x1b]0;owned\x07 [red]{{ 7 }}[/red] \u202e"
    with view:
        tape = Tape(view)
        tape.start()
        tape.step("restore.1", "db-1", evil)
        until(lambda: "owned" in view.console.file.getvalue(), "the drawn step")
        tape(
            "failed",
            {
                "outcome": "failed",
                "message": evil,
                "allowed": None,
                "seconds": 1.0,
                "attempts": 2,
                "findings": [{"severity": "high", "title": evil, "wanted": evil, "measured": evil}],
            },
            "restore.1",
            "db-1",
        )
        tape("ended.early", {"why": "failed", "message": evil, "findings": []})
    text = view.console.file.getvalue()
    assert "\x1b[2J" not in text
    assert "\x1b]0" not in text
    assert "\u202e" not in text
    assert "[red]{{ 7 }}[/red]" in text


def test_many_threads_and_no_line_is_lost(view):
    tape = Tape(lambda event: None)
    with view:
        tape.observer = view
        tape.start()

        def work(number):
            for count in range(50):
                view(
                    Event(
                        seq=0,
                        at="",
                        clock=1.0,
                        kind="skipped",
                        step=f"s{number}.{count}",
                        data={"why": "w"},
                        prev=None,
                        hash="",
                    )
                )

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    text = view.console.file.getvalue()
    assert all(f"– s{number}.{count} skipped" in text for number in range(6) for count in range(50))


def test_a_blocked_terminal_does_not_hold_up_the_run():
    master, slave = pty.openpty()
    with closing(os.fdopen(slave, "w")) as terminal:
        view = LiveView(Console(file=terminal, width=80, force_terminal=True))
        with view:
            for number in range(3000):
                view(
                    Event(
                        seq=0,
                        at="",
                        clock=1.0,
                        kind="skipped",
                        step=f"s{number}",
                        data={"why": "w" * 60},
                        prev=None,
                        hash="",
                    )
                )
            unchanged_for(0.5, lambda: unread(master))  # the drawing thread now waits for the terminal
            view(Event(seq=0, at="", clock=1.0, kind="skipped", step="last", data={"why": "w"}, prev=None, hash=""))
            reader = threading.Thread(target=drain, args=(master,), daemon=True)
            reader.start()  # nothing was read before, so no event waited for the terminal
    os.close(master)


def unread(master):
    """Number of bytes on the terminal that are not read yet."""
    return struct.unpack("i", fcntl.ioctl(master, termios.FIONREAD, bytes(4)))[0]


def drain(master):
    with suppress(OSError):
        while os.read(master, 65536):
            pass


def test_the_screen_is_left_alone_while_a_person_is_asked(view):
    with view:
        tape = Tape(view)
        tape.start()
        tape("phase.started", {"phase": "restore"})
        until(lambda: "restore" in view.console.file.getvalue(), "the drawn phase")
        tape(
            "step.started",
            {"action": "manual.confirm", "phase": "restore", "name": "Ask", "effect": "read", "params": {}},
            "restore.1",
            "db-1",
        )
        before = view.console.file.getvalue()
        nothing_happens_for(0.4, lambda: view.console.file.getvalue() != before)
        tape.step("restore.1", "db-1", "", ended=True)
        until(lambda: len(view.console.file.getvalue()) > len(before), "another drawing")


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if (self.server.root / "broken").exists() else 200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.root = tmp_path
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def write(seconds):
        made.write(
            f"objectives: {{rto: 30s}}\nprobes:\n  - http.available: {{url: 'http://127.0.0.1:{server.server_port}/'}}\n"
            + fault(["touch", "DIR/broken"], ["rm", "-f", "DIR/broken"], ["test", "-e", "DIR/broken"])
            + "restore:\n"
            + step(["sleep", seconds], "name: Wait for it")
            + step(["rm", "-f", "DIR/broken"])
        )

    write("1.5")
    made.slow = lambda: write("600")  # the drill is still in this step when the test has read of it
    yield made
    server.shutdown()
    server.server_close()


def on_terminal(folder, *argv, act=lambda text, pid: False, answer=b""):
    """Run the program on a terminal of 80 columns. Return its status and complete output."""
    pid, master = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # it may be ignored here, as by nohup
        os.chdir(folder.root)
        os.execve(PROGRAM[0], [*PROGRAM, *argv], folder.environment)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    text = b""
    act.drawn = lambda: select.select([master], [], [], 0)[0]
    act.answer = lambda: os.write(master, answer) < 0
    with suppress(OSError):
        while data := os.read(master, 65536):
            text += data
            if act(text.decode("utf-8", "replace"), pid):
                break
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode()


def test_a_real_run_on_a_terminal(folder):
    status, text = on_terminal(folder, "drill", "sample")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert status == 0, plain
    assert re.search(r"restore \d", plain)
    assert "Wait for it" in plain
    assert re.search(r"DOWN \d\.\d s +[━─]+ +RTO objective 30 s", plain)
    assert "serving again after" in plain
    assert "drillbook report.open" in plain
    lines = [line for line in re.split(r"[\r\n]+", plain) if line.strip()]
    assert lines[-1].startswith("✓ PASSED")
    assert "Traceback" not in plain
    assert max(cell_len(line) for part in plain.split("\r\n") for line in part.split("\r")) <= 80


def test_the_terminal_is_closed_in_the_middle(folder):
    folder.slow()
    on_terminal(folder, "drill", "sample", act=lambda text, pid: "Wait for it" in text)
    result = folder.result()
    assert (result["verdict"], result["residue"], result["exit"]) == ("aborted", [], 4)
    assert not (folder.root / "broken").exists()


def test_a_person_is_asked_and_answers(folder):
    folder.write("restore:\n  - manual.confirm: {prompt: 'Is the lamp on?'}\n")
    sent = []

    def act(text, pid):
        if "yes, no or abort, within 15m: " in text and not sent:
            sent.append(nothing_happens_for(0.6, act.drawn))
            return act.answer()
        return False

    status, text = on_terminal(folder, "drill", "sample", act=act, answer=b"yes\n")
    assert status == 0, text
    asked = text.partition("yes, no or abort, within 15m: ")[2].partition("yes")[0]
    assert asked == "", "nothing is drawn between the question and the answer"


def test_ctrl_c_on_a_terminal(folder):
    folder.slow()
    sent = []

    def act(text, pid):
        if "Wait for it" in text and not sent:
            sent.append(os.kill(pid, signal.SIGINT))
        return False

    status, text = on_terminal(folder, "drill", "sample", act=act)
    assert status == 4
    assert "Ctrl-C (SIGINT): stopping; all changes are undone first" in text
    assert "■ ABORTED" in text
    assert not (folder.root / "broken").exists()


def test_an_undo_says_how_long_its_phase_took_last_time(view):
    view._last_s = lambda drill: {"restore": 8.25} if drill == PLAN["drill"] else {}
    tape = Tape(view)
    tape.start()
    tape("phase.started", {"phase": "restore"})
    assert "last time" not in picture(view)
    tape("ended.early", {"why": "aborted"})
    tape("phase.started", {"phase": "restore"})
    assert re.search(r"  undo: restore \d.* s \(took 8.25 s last time\)", picture(view))
    tape("phase.ended", {"phase": "restore", "status": "done"})
    assert "last time" not in picture(view)


def test_the_phase_says_that_it_is_stopped_and_that_it_undoes_changes(view):
    tape = Tape(view)
    tape.start()
    tape("phase.started", {"phase": "restore"})
    tape("signal", {"name": "SIGINT"})
    tape("signal", {"name": "SIGINT", "again": True})
    assert "  stopping restore " in picture(view)
    tape("ended.early", {"why": "aborted"})
    tape("phase.started", {"phase": "restore"})
    assert "  undo: restore " in picture(view)
    tape("settle.started", {"after": "early end"})
    assert "checking if the service is good again" in picture(view)
    tape.start()
    tape("phase.started", {"phase": "ready"})
    assert "  ready " in picture(view)


def test_an_empty_wait_says_what_it_waits_for(view):
    tape = Tape(view)
    tape.start()
    tape("phase.started", {"phase": "restore"})
    assert "waiting for the first step of restore" in picture(view)
    tape.step("restore.1", "db-1", "Restore it")
    assert "waiting" not in picture(view)
    tape.step("restore.1", "db-1", "", ended=True)
    tape("settle.started", {"after": "restore"})
    assert "waiting until every probe has been good for long enough, after restore" in picture(view)
    tape("settle.ended", {})
    assert "waiting for the end of this phase" in picture(view)


def test_the_undo_after_the_last_phase_is_not_told_as_that_phase(view):
    """At 80 columns, beside the line of the phase that has ended."""
    tape = Tape(view)
    step = {
        "id": "restore.1",
        "hosts": ["db-2"],
        "action": "backup.restore",
        "name": "Restore",
        "params": {"service": "copy"},
    }
    inventory = {"environment": "lab", "services": {"copy": {"sandbox": {"isolation": "namespace"}}, "database": {}}}
    tape(
        "run.started",
        {"plan": {**PLAN, "steps": [step, STEPS[1]], "inventory": inventory}, "plan_digest": "sha256:" + "a" * 64},
    )
    tape("phase.started", {"phase": "verify"})
    tape("settle.ended", {})
    assert "waiting for the end of this phase" in picture(view)
    tape("phase.ended", {"phase": "verify", "status": "done"})
    assert "waiting for what follows this phase" in picture(view)
    assert "  verify " not in picture(view)
    tape("undo", {"intent": 5}, "restore.1", "db-2")
    assert "undo: removing the sandbox" in picture(view)
    assert "\n  undo " in f"\n{picture(view)}"
    tape("undone", {"intent": 5}, "restore.1", "db-2")
    assert "undo: waiting for the undo of the next change" in picture(view)
    tape("undo", {"intent": 3}, "restore.2", "app-1")
    assert "undo: undoing “restore.2” on app-1" in picture(view)
    tape("settle.ended", {})
    assert "waiting for the end of the run" in picture(view)


def test_an_undo_within_a_phase_keeps_its_name(view):
    tape = Tape(view)
    tape.start()
    tape("phase.started", {"phase": "restore"})
    tape("undo", {"intent": 5}, "restore.1", "db-1")
    assert "  restore " in picture(view)
