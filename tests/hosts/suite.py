"""Contract of ``drillbook.sdk.host.Host``, tested once for every carrier.

``Carrier`` provides the commands that the contract needs: real carriers run programs, the fake one runs Python
functions.
"""

import io
import os
import signal
import socket
import socketserver
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from drillbook.errors import Cancelled, CommandTimedOut, DrillbookError, HostError
from drillbook.hosts.fake import Reply
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, Host
from drillbook.values import Secret
from tests.hosts.servers import Echo
from tests.processes import entries

HOSTILE = [
    "",
    " ",
    "a b",
    "it's",
    '"',
    "$(id)",
    "`id`",
    "; id",
    "a\nb",
    "\n",
    "\\",
    "*",
    "~",
    "-n",
    "ünï 你",
    "é",
    "a=b",
    "$HOME",
    "\t",
    "&&",
    "|",
    "'; touch /tmp/x; '",
    "#",
    "!",
    "\x1b[31m",
]


def threads_left(seconds=0):
    """Threads of Drillbook that still run after ``seconds``."""
    until = time.monotonic() + seconds
    while True:
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("drillbook-")]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.05)


def soon(seconds=30):
    return Deadline.after(seconds)


class Programs:
    """Commands that the contract needs, by programs of every machine."""

    def __init__(self, host):
        self.host = host

    def prints(self, out, err=b"", status=0):
        script = "import os,sys; os.write(1, bytes.fromhex(sys.argv[1])); os.write(2, bytes.fromhex(sys.argv[2])); "
        return [sys.executable, "-S", "-c", f"{script} os._exit(int(sys.argv[3]))", out.hex(), err.hex(), str(status)]

    def shows_argv(self, *words):
        return ["sh", "-c", "printf '%s\\0' \"$@\"", "sh", *words]

    def shows_env(self, *names):
        return ["sh", "-c", 'for n in "$@"; do eval "printf \'%s\\0\' \\"\\$$n\\""; done', "sh", *names]

    def shows_folder(self):
        return ["pwd"]

    def echoes(self):
        return ["cat"]

    def floods(self, size):
        return ["sh", "-c", 'head -c "$1" /dev/zero; head -c 100 /dev/zero >&2', "sh", str(size)]

    def ignores_input(self):
        return ["true"]

    def dies(self, name):
        return ["sh", "-c", f"kill -{name} $$"]

    def sleeps(self, seconds):
        return ["sleep", str(seconds)]

    def stays(self, tag):
        """Process that ignores TERM, with a child, a grandchild, and a descendant in a separate session."""
        tree = "trap '' TERM; sh -c 'trap \"\" TERM; sleep 300.$0; :' $0 & setsid sleep 300.$0 & sleep 300.$0; sleep 300.$0"
        return ["sh", "-c", tree, tag]

    def orphans(self, tag):
        """Process that TERM ends, and its child in a separate session, which TERM does not end."""
        child = "trap '' TERM; sleep 300.$0; :"
        return ["sh", "-c", 'setsid sh -c "$1" "$0" & sleep 300.$0', tag, child]

    def forks(self, tag):
        """Two nested shells that start process after process, for 9 s at most."""
        loop = "end=$(( $(date +%s) + 9 )); while [ $(date +%s) -lt $end ]; do sh -c 'sleep 9; :' $0 & sleep 0.004; done"
        return ["sh", "-c", f"({loop}) & {loop}", f"300.{tag}"]

    def floods_and_stays(self, tag):
        return ["sh", "-c", "head -c 1000000 /dev/zero; sleep 300.$0; :", tag]

    def meets(self, count, folder):
        """Command that ends as soon as ``count`` instances of it run."""
        script = 'touch "$1/here.$$"; until [ $(ls "$1" | grep -c ^here) -ge $2 ]; do sleep 0.1; done'
        return ["sh", "-c", script, "sh", str(folder), str(count)]

    def leaves_behind(self, tag):
        return ["sh", "-c", "echo started; sleep 300.$0 & echo $!", tag]

    def there(self, tag):
        """Return True when a process of ``stays`` still runs."""
        for cmdline in entries("cmdline"):
            try:
                if any(word.endswith(f"300.{tag}".encode()) for word in cmdline.read_bytes().split(b"\0")):
                    return True
            except OSError:
                continue
        return False


class Functions(Programs):
    """The same commands in Python, for the fake."""

    def prints(self, out, err=b"", status=0):
        return self._on("prints", Reply(status, out, err))

    def shows_argv(self, *words):
        return [*self._on("argv", lambda call: Reply(stdout=b"".join(w.encode() + b"\0" for w in call.argv[1:]))), *words]

    def shows_env(self, *names):
        return self._on("env", lambda call: Reply(stdout=b"".join(call.env[n].encode() + b"\0" for n in names)))

    def shows_folder(self):
        return self._on("folder", lambda call: f"{call.cwd}\n")

    def floods(self, size):
        return self._on("flood", Reply(stdout=bytes(size), stderr=bytes(100)))

    def dies(self, name):
        return self._on("dies", Reply(signal=name))

    def stays(self, tag):
        return [*self._on("stays", lambda call: call.sleep(300)), tag]

    orphans = forks = stays

    def floods_and_stays(self, tag):
        return self.floods(1_000_000)

    def meets(self, count, folder):
        meeting = threading.Barrier(count)
        return self._on("meets", lambda call: Reply(0 if meeting.wait(60) >= 0 else 1))

    def there(self, tag):
        return any(tag in call.argv for call in self.host.running)

    def _on(self, name, answer):
        name = f"{name}-{uuid.uuid4().hex[:6]}"
        self.host.on(name, answer)
        return [name]


@dataclass
class Carrier:
    kind: str
    host: Host
    does: Programs
    folder: str

    @property
    def real(self):
        return self.kind != "fake"

    def tag(self):
        return str(uuid.uuid4().int)[:12]


class HostContract:
    def test_is_a_host(self, carrier):
        assert isinstance(carrier.host, Host)
        assert carrier.host.name == carrier.host.target.name

    @pytest.mark.parametrize("status", [0, 1, 3, 255])
    def test_exit_status_and_streams_apart(self, carrier, status):
        begun = time.monotonic()
        done = carrier.host.run(argv := carrier.does.prints(b"out\n", b"err\n", status), deadline=soon())
        assert (done.exit, done.signal, done.stdout, done.stderr) == (status, None, b"out\n", b"err\n")
        assert (done.host, done.argv, done.ok) == (carrier.host.name, tuple(argv), status == 0)
        assert (done.stdout_bytes, done.stderr_bytes, done.complete) == (4, 4, True)
        assert 0 <= done.seconds <= time.monotonic() - begun

    def test_true_and_false(self, carrier):
        assert carrier.host.run(["true"], deadline=soon()).exit == 0
        assert carrier.host.run(["false"], deadline=soon()).exit == 1

    def test_words_arrive_as_they_are(self, carrier):
        done = carrier.host.run(carrier.does.shows_argv(*HOSTILE), deadline=soon()).check()
        assert done.stdout.decode().split("\0")[:-1] == HOSTILE

    def test_a_command_is_a_list(self, carrier):
        for wrong in ("true", [], ["a\0b"]):
            with pytest.raises(ValueError, match=r"list of at least one|NUL"):
                carrier.host.run(wrong, deadline=soon())

    def test_no_shell_reads_the_command(self, carrier):
        for word in ("true; true", "cd", "no-such-command", "$(true)"):
            assert carrier.host.run([word], deadline=soon()).exit == 127

    def test_environment(self, carrier, monkeypatch):
        monkeypatch.setenv("DRILLBOOK_TEST_SECRET", "pa ss'w\"ord")
        env = {f"V{i}": value for i, value in enumerate(HOSTILE)} | {"P": Secret(source="env", name="DRILLBOOK_TEST_SECRET")}
        for cwd in (None, carrier.folder):
            done = carrier.host.run(carrier.does.shows_env(*env), env=env, cwd=cwd, deadline=soon()).check()
            assert done.stdout.decode().split("\0")[:-1] == [*HOSTILE, "pa ss'w\"ord"]

    def test_environment_leaves_the_input_alone(self, carrier):
        data = os.urandom(100_000)
        done = carrier.host.run(carrier.does.echoes(), env={"A": "b" * 5000}, stdin=data, deadline=soon()).check()
        assert done.stdout == data

    def test_a_name_that_is_no_name(self, carrier):
        for name in ("A B", "1A", "A;id", "", "A=B"):
            with pytest.raises(ValueError, match="not a valid name"):
                carrier.host.run(["true"], env={name: "x"}, deadline=soon())

    def test_environment_is_in_no_process_list(self, carrier):
        if not carrier.real:
            return
        secret = f"hush{uuid.uuid4().hex}"
        seen, stop = [], threading.Event()

        def look():
            while not stop.is_set():
                for cmdline in entries("cmdline"):
                    try:
                        seen.extend([cmdline] if secret.encode() in cmdline.read_bytes() else [])
                    except OSError:
                        continue

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            done = carrier.host.run(["sh", "-c", 'sleep 0.5; printf %s "$K"'], env={"K": secret}, deadline=soon())
        finally:
            stop.set()
            watcher.join()
        assert done.text == secret
        assert not seen

    def test_folder(self, carrier):
        assert carrier.host.run(carrier.does.shows_folder(), cwd=carrier.folder, deadline=soon()).text == carrier.folder

    def test_folder_that_is_not_there(self, carrier):
        if carrier.real:
            done = carrier.host.run(["pwd"], cwd="/no/such/folder", deadline=soon())
            assert (done.exit, done.stdout) == (126, b"")
            assert b"/no/such/folder" in done.stderr

    def test_input_and_output_at_once(self, carrier):
        data = os.urandom(1 << 20)
        done = carrier.host.run(carrier.does.echoes(), stdin=data, deadline=soon())
        assert done.stdout == data

    def test_no_input_is_an_end_of_input(self, carrier):
        assert carrier.host.run(carrier.does.echoes(), deadline=soon(5)).stdout == b""

    def test_input_that_nobody_reads(self, carrier):
        for _ in range(5):
            assert carrier.host.run(carrier.does.ignores_input(), stdin=bytes(4 << 20), deadline=soon()).ok

    def test_long_output_is_counted_and_cut(self, carrier):
        done = carrier.host.run(carrier.does.floods(20_000_000), deadline=soon())
        assert len(done.stdout) == CAPTURE_LIMIT
        assert (done.stdout_bytes, done.stderr_bytes, done.complete) == (20_000_000, 100, False)

    def test_sink_gets_every_byte(self, carrier):
        data = os.urandom(3_000_001)
        sink = io.BytesIO()
        done = carrier.host.run(carrier.does.echoes(), stdin=data, sink=sink, deadline=soon()).check()
        assert sink.getvalue() == data
        assert (done.stdout, done.stdout_bytes) == (b"", len(data))

    def test_sink_that_fails(self, carrier):
        class Full(io.RawIOBase):
            def write(self, data):
                raise OSError(28, "No space left on device")

        tag = carrier.tag()
        with pytest.raises(OSError, match="No space left"):
            carrier.host.run(carrier.does.floods_and_stays(tag), sink=Full(), deadline=soon())
        assert not carrier.does.there(tag)
        assert carrier.host.run(["true"], deadline=soon()).ok

    def test_bytes_that_are_no_text(self, carrier):
        data = bytes(range(256))
        done = carrier.host.run(carrier.does.prints(data, data), deadline=soon())
        assert (done.stdout, done.stderr) == (data, data)

    @pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV"])
    def test_death_by_signal(self, carrier, name):
        done = carrier.host.run(carrier.does.dies(name), deadline=soon())
        assert (done.exit, done.signal, done.ok) == (None, name, False)

    @pytest.mark.parametrize("what", ["stays", "orphans", "forks"])
    def test_deadline_ends_everything(self, carrier, what):
        tag, started = carrier.tag(), time.monotonic()
        with pytest.raises(CommandTimedOut, match="it was killed"):
            carrier.host.run(getattr(carrier.does, what)(tag), deadline=soon(1))
        assert time.monotonic() - started > 0.9
        assert not carrier.does.there(tag)
        assert carrier.host.run(["true"], deadline=soon()).ok

    def test_what_a_command_leaves_behind_does_not_hold_it(self, carrier):
        if carrier.kind not in {"openssh", "local"}:
            return  # the lab's server reports the end only after it has received all output
        done = carrier.host.run(carrier.does.leaves_behind(carrier.tag()), deadline=soon(200))
        started, pid = done.text.split()
        os.kill(int(pid), signal.SIGKILL)  # the command continues
        assert (done.exit, started) == (0, "started")

    def test_deadline_ends_a_command_that_goes_on(self, carrier):
        carrier.host.run(["true"], deadline=soon())
        started = time.monotonic()
        with pytest.raises(CommandTimedOut):
            carrier.host.run(carrier.does.sleeps(300), deadline=soon(0.5))
        assert time.monotonic() - started < 300, "before the command ends by itself"

    def test_deadline_that_is_over(self, carrier):
        with pytest.raises(CommandTimedOut):
            carrier.host.run(["true"], deadline=soon(0))

    def test_cancel_from_another_thread(self, carrier):
        tag, deadline = carrier.tag(), soon()
        carrier.host.run(["true"], deadline=soon())
        timer = threading.Timer(0.5, deadline.cancel.set)
        timer.start()
        with pytest.raises(Cancelled, match="it was killed"):
            carrier.host.run(carrier.does.stays(tag), deadline=deadline)
        timer.join()
        assert not carrier.does.there(tag)

    def test_cancel_that_came_before(self, carrier):
        deadline = soon()
        deadline.cancel.set()
        with pytest.raises(Cancelled):
            carrier.host.run(["true"], deadline=deadline)

    def test_many_at_once(self, carrier):
        meeting = carrier.does.meets(8, Path(carrier.folder))
        with ThreadPoolExecutor(8) as pool:
            met = list(pool.map(lambda _: carrier.host.run(meeting, deadline=soon(60)), range(8)))
            texts = [os.urandom(2000) for _ in range(40)]
            echoes = list(pool.map(lambda t: carrier.host.run(carrier.does.echoes(), stdin=t, deadline=soon()), texts))
        assert all(one.ok for one in met), "each waits until all others are there"
        assert [echo.stdout for echo in echoes] == texts

    def test_more_than_a_server_allows(self, carrier):
        with ThreadPoolExecutor(24) as pool:
            done = list(pool.map(lambda _: carrier.host.run(carrier.does.sleeps(0.2), deadline=soon()), range(24)))
        assert all(one.ok for one in done)

    def test_put_and_get(self, carrier):
        path = f"{carrier.folder}/a file"
        for data in (b"first", os.urandom(300_000), b""):
            carrier.host.put(data, path)
            assert carrier.host.get(path) == data
        carrier.host.put(b"0123456789", path, mode=0o640)
        assert carrier.host.get(path, limit=4) == b"0123"
        if carrier.real:
            assert Path(path).stat().st_mode & 0o777 == 0o640
            carrier.host.put(b"x", path)
            assert Path(path).stat().st_mode & 0o777 == 0o600
            assert [p.name for p in Path(carrier.folder).iterdir()] == ["a file"]

    def test_put_replaces_in_one_go(self, carrier):
        path = f"{carrier.folder}/one"
        carrier.host.put(b"a" * 200_000, path)
        seen, stop = set(), threading.Event()

        def look():
            while not stop.is_set():
                data = Path(path).read_bytes() if carrier.real else carrier.host.files[path]
                seen.add((data[:1], len(data)))

        reader = threading.Thread(target=look)
        reader.start()
        try:
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                carrier.host.put(b"b" * 200_000, path)
        finally:
            stop.set()
            reader.join()
        assert {size for _, size in seen} == {200_000}

    def test_files_that_are_not_there(self, carrier):
        with pytest.raises(FileNotFoundError):
            carrier.host.get(f"{carrier.folder}/missing")
        if carrier.real:
            with pytest.raises(HostError, match="cannot be written"):
                carrier.host.put(b"x", f"{carrier.folder}/no/such/folder")
            with pytest.raises(HostError, match="cannot be written"):
                carrier.host.put(b"x", carrier.folder)
            with pytest.raises(HostError, match="cannot be read"):
                carrier.host.get(carrier.folder)
            assert not list(Path(carrier.folder).iterdir())

    def test_forward(self, carrier, echo_server):
        with carrier.host.forward("127.0.0.1", echo_server) as port:
            with ThreadPoolExecutor(4) as pool:
                datas = [os.urandom(500_000) for _ in range(4)]
                assert list(pool.map(lambda data: exchange(port, data), datas)) == datas
            with socket.create_connection(("127.0.0.1", port), timeout=5) as idle:
                idle.sendall(b"x")
                assert idle.recv(1) == b"x"
                held = idle.dup()
        with held:
            held.settimeout(5)
            assert end_of(held) == b""
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        assert not [t for t in threading.enumerate() if t.name.startswith("drillbook-forward")]
        assert carrier.host.run(["true"], deadline=soon()).ok

    def test_forward_to_a_unix_socket(self, carrier):
        if not carrier.real:
            return  # a fake forwards only to ports
        path = f"/tmp/drillbook-test-{os.getpid()}.sock"

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        with Server(path, Echo) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                with carrier.host.forward(path, 0) as port, ThreadPoolExecutor(2) as pool:
                    datas = [os.urandom(300_000) for _ in range(2)]
                    assert list(pool.map(lambda data: exchange(port, data), datas)) == datas
            finally:
                server.shutdown()
                Path(path).unlink()
        with (
            carrier.host.forward(path, 0) as port,
            socket.create_connection(("127.0.0.1", port), timeout=5) as sock,
        ):
            assert end_of(sock) == b"", "nobody listens there"

    def test_a_unix_socket_of_the_controller_leads_to_one_of_the_host(self, carrier, tmp_path):
        if not carrier.real:
            return
        path = f"/tmp/drillbook-test-{os.getpid()}.own.sock"
        with socketserver.ThreadingUnixStreamServer(path, Echo) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                with carrier.host.forward_socket(path, ".s.PGSQL.5432") as folder:
                    assert Path(folder).stat().st_mode & 0o777 == 0o700
                    with socket.socket(socket.AF_UNIX) as sock:
                        sock.connect(f"{folder}/.s.PGSQL.5432")
                        data = os.urandom(300_000)
                        threading.Thread(target=sock.sendall, args=(data,), daemon=True).start()
                        received = b""
                        while len(received) < len(data):
                            received += sock.recv(65536)
                        assert received == data
                assert not Path(folder).exists()
            finally:
                server.shutdown()
                Path(path).unlink()

    def test_forward_to_nothing(self, carrier, unused_port):
        with (
            carrier.host.forward("127.0.0.1", unused_port) as port,
            socket.create_connection(("127.0.0.1", port), timeout=5) as sock,
        ):
            assert end_of(sock) == b""

    def test_close_twice_and_use_after(self, carrier):
        carrier.host.run(["true"], deadline=soon())
        carrier.host.close()
        carrier.host.close()
        for use in (
            lambda: carrier.host.run(["true"], deadline=soon()),
            lambda: carrier.host.get("/etc/hostname"),
            lambda: carrier.host.put(b"", f"{carrier.folder}/x"),
        ):
            with pytest.raises(DrillbookError, match="closed"):
                use()


def exchange(port, data):
    """Send ``data`` and end of file, and read the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
        sender.start()
        received = b"".join(iter(lambda: sock.recv(65536), b""))
        sender.join()
    return received


def end_of(sock):
    try:
        return sock.recv(1)
    except ConnectionResetError:
        return b""
