"""Output and end of a command on its channel."""

import io
import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from drillbook.hosts.capture import Capture, MarkedCapture
from drillbook.hosts.ssh.channel import Exec
from drillbook.hosts.ssh.session import Ending, open_session
from tests.hosts.suite import Programs, soon
from tests.waiting import nothing_happens_for, until


def test_a_sink_gets_each_line_when_it_arrives(openssh, opened):
    """Durations of script stages depend on the arrival of their lines, so that lines must not be delayed."""

    class Pieces(io.BytesIO):
        count = 0

        def write(self, data):
            self.count += 1
            return super().write(data)

    sink = Pieces()
    script = "for number in 1 2 3 4 5 6 7 8 9 10; do echo $number; sleep 0.05; done"
    opened(openssh.target()).run(("sh", "-c", script), sink=sink, deadline=soon()).check()
    assert sink.count > 5, "together they take 0.5 s, which are three ticks"


def test_a_small_piece_reaches_the_sink_when_it_arrives(openssh, opened, monkeypatch, tmp_path):
    """Paramiko notifies waiting threads before it adds the data, so that the amount of data is not known then."""
    monkeypatch.setattr("drillbook.hosts.ssh.channel.TICK", 30.0)
    fifo, arrived, in_time = tmp_path / "fifo", threading.Semaphore(0), []
    os.mkfifo(fifo)

    class Pieces(io.BytesIO):
        def write(self, data):
            arrived.release()
            return super().write(data)

    def let_it_go_on():
        for _ in range(2):
            in_time.append(arrived.acquire(timeout=10))
            fifo.write_text("go on")

    thread = threading.Thread(target=let_it_go_on)
    thread.start()
    script = 'echo one; cat "$1" >/dev/null; echo two; cat "$1" >/dev/null'
    opened(openssh.target()).run(("sh", "-c", script, "sh", str(fifo)), sink=Pieces(), deadline=soon(90)).check()
    thread.join()
    assert in_time == [True, True]


def test_a_sink_that_fails_before_the_process_id_is_known(openssh, opened):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    host, tag = opened(openssh.target()), str(uuid.uuid4().int)[:12]
    link = host.link(soon())
    line = f"echo out; sleep 0.5; echo more; echo mark-$$ >&2; exec sleep 300.{tag}".encode()
    process = Exec(open_session(link, soon(), host="far"), line, b"", Capture(0, Full()), MarkedCapture(100, "mark-"))
    with pytest.raises(OSError, match="No space"):
        while process.step(5) is None:
            pass
    assert process.pid is None
    assert Ending(host._keeper, process, host="far", sudo=False).run() == ""
    process.close()
    assert not Programs(host).there(tag)


def test_commands_that_end_before_their_input_do_not_harm_others(openssh, opened):
    """A packet for a channel that the server has forgotten would end the connection, and the long command with it."""
    host = opened(openssh.target())
    with ThreadPoolExecutor(8) as pool:
        long = pool.submit(host.run, ["sh", "-c", "sleep 6; echo done"], deadline=soon(60))
        until = time.monotonic() + 5
        while time.monotonic() < until:
            done = list(pool.map(lambda _: host.run(["true"], stdin=bytes(300_000), deadline=soon()), range(14)))
            assert all(one.ok for one in done)
        assert long.result().text == "done"


def test_a_command_that_ends_while_its_channel_is_being_looked_at_has_its_status(openssh, opened, monkeypatch):
    """On a busy machine, the reading thread may pause between two looks until all data has arrived."""
    drain, waited = Exec._drain, []

    def preempted(self):
        if drain(self):
            return True
        until = time.monotonic() + 5
        while not self._channel.closed and time.monotonic() < until:
            time.sleep(0.01)
        waited.append(self._channel.closed)
        return False

    host = opened(openssh.target())
    assert host.run(["true"], deadline=soon()).ok
    monkeypatch.setattr(Exec, "_drain", preempted)
    output = host.run(["sh", "-c", "sleep 0.5; echo said; exit 3"], deadline=soon())
    assert (output.text, output.exit) == ("said", 3)
    assert waited[0] is True, "it ended between the two looks"


def test_output_that_cannot_be_read_for_a_while_is_not_left_out(openssh, opened, tmp_path):
    """A sender may lock a connection for longer than a reader waits, for example during a key exchange."""
    host = opened(openssh.target())
    gate = host.link(soon()).transport.gate
    with ThreadPoolExecutor(1) as pool:
        command = 'touch "$0"; sleep 0.3; echo said'
        running = pool.submit(host.run, ["sh", "-c", command, str(tmp_path / "runs")], deadline=soon())
        until((tmp_path / "runs").exists)
        with gate:
            nothing_happens_for(3, running.done)
        output = running.result()
    assert (output.text, output.exit) == ("said", 0)
