"""Processes on this machine, started by hand."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.ports import free_port

SERVER = """\
import os, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen(5)
open(sys.argv[2] + ".new", "w").write(f"{os.getpid()}\\n/some/path 123\\n")
os.replace(sys.argv[2] + ".new", sys.argv[2])
while True:
    s.accept()[0].close()
"""


START = 'setsid "$1" -c "$2" "$3" "$4" </dev/null >/dev/null 2>&1 &'


class Served:
    """Program that was started by hand, with a pid file; it can be started again in the same way."""

    def __init__(self, ground):
        self.port, self.file = free_port(), ground.root / "served.pid"
        self.start = ("sh", "-c", START, "sh", sys.executable, SERVER, str(self.port), str(self.file))
        subprocess.run(self.start, check=True)
        ground.until(self.file.exists)

    @property
    def pid(self):
        return int(self.file.read_text().split()[0])

    def end(self):
        for sign in (signal.SIGCONT, signal.SIGKILL):
            try:
                os.kill(self.pid, sign)
            except ProcessLookupError:
                return


def limits(pid, name):
    line = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith(name))
    return line.removeprefix(name).split()[:2]


# With the kernel's Yama, each process must allow others to trace it: PR_SET_PTRACER, PR_SET_PTRACER_ANY.
OPEN = "import ctypes; ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)\n"
