"""Faults on this machine, each executed as by the runner: check, recorded undo, injection, proof, undo, proof."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from drillbook.hosts.local import LocalHost
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, ManagerConfig, Target
from tests.skeleton import left_in

TOOLS = """awk cat chmod cmp cp cut dd df du env fallocate getconf grep head id kill ln ls mkdir mv nc nproc perl printf
prlimit python3 readlink rm sed setsid sh sha256sum sleep socat sort stat sync tail test timeout touch tr wc"""
PLAIN = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}


class Ground:
    """This machine as the only host, with a separate scratch folder."""

    tools: dict[str, str] = {}
    prefix: tuple[str, ...] = ()
    """Prefix of every command of the undo, such as a change of the user."""

    def __init__(self, root: Path, manager: ManagerConfig | None = None, services=None) -> None:
        self.root, self.services = root, services or {}
        self.scratch = root / "scratch"
        self.scratch.mkdir()
        (root / "run").mkdir()
        self.run = f"run-{uuid.uuid4().hex[:12]}"
        target = Target(name="here", local=True, scratch=str(self.scratch), manager=manager or ManagerConfig())
        self.host = LocalHost("here", target=target)
        self.ours: list[subprocess.Popen] = []

    def ctx(self, step="inject.1"):
        return Context(
            run_id=self.run,
            step=step,
            host=self.host,
            services=self.services,
            host_named=lambda name: self.host,
            deadline=Deadline.after(60),
            folder=self.root / "run",
        )

    def undo(self, undo):
        """Run the undo as a lease does on the target: plain commands, without variables of Drillbook."""
        assert undo.kind == "commands"
        for argv in undo.commands:
            done = subprocess.run(
                [*self.prefix, *argv],
                env={**PLAIN, **self.tools},
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, (argv, done.stdout, done.stderr)

    def until(self, held, seconds=20.0):
        end = time.monotonic() + seconds
        while not held():
            assert time.monotonic() < end, "it did not come true"
            time.sleep(0.02)

    def cycle(self, action, while_active=lambda: None):
        """Check, inject, prove, undo, prove that it is gone, and undo again. Nothing is left. Return the facts."""
        ctx = self.ctx()
        action.ready(ctx)
        undo = action.undo(ctx)
        facts = action.inject(ctx)
        try:
            self.until(lambda: action.active(ctx) is True)
            while_active()
        finally:
            self.undo(undo)
        assert action.active(ctx) is False
        self.undo(undo)
        assert action.active(ctx) is False
        self.nothing_left()
        return facts

    def never(self, action):
        """Assert that the undo of a fault that was never injected changes nothing."""
        ctx = self.ctx()
        self.undo(action.undo(ctx))
        assert action.active(ctx) is False
        self.nothing_left()

    def nothing_left(self):
        assert left_in(self.scratch) == []
        assert marked(self.run) == []

    def start(self, *argv, **options):
        """Start a process, which ends with the test."""
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
        self.ours.append(child)
        return child

    def serve(self, port=0):
        """Start a process that listens on a loopback port. Return process and port."""
        code = (
            "import socket,sys;s=socket.socket();s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1);"
            "s.bind(('127.0.0.1',int(sys.argv[1])));s.listen(5);print(s.getsockname()[1],flush=True)\n"
            "while True: s.accept()[0].close()"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        self.ours.append(child)
        return child, int(child.stdout.readline())

    def close(self):
        for pid in marked(self.run):  # a test that failed in its middle
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for child in self.ours:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGCONT)
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()


class Instead:
    """Host whose commands read ``text`` in place of a file of the kernel. Requires root."""

    def __init__(self, host, folder, path, text):
        self.host, self.name, self.target, self.path = host, host.name, host.target, path
        self.file = folder / "instead"
        self.file.write_text(text)

    def run(self, argv, **options):
        script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
        return self.host.run(["unshare", "-m", "sh", "-c", script, "sh", str(self.file), self.path, *argv], **options)


def marked(run):
    """Processes with the mark of a run."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"DRILLBOOK_FAULT={run}/".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def path_without(folder, *missing):
    """PATH with the programs that faults use, without ``missing``."""
    folder.mkdir()
    for tool in set(TOOLS.split()) - set(missing):
        if found := shutil.which(tool, path=PLAIN["PATH"]):
            (folder / tool).symlink_to(found)
    return str(folder)


def is_root():
    return os.geteuid() == 0
