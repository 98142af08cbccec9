"""The daemon of a lab. It is the parent of all processes of the lab.

``python -m drillbook.lab.daemon FOLDER``

The daemon has two tasks that must never be delayed. First, it reaps every orphan at once, because ``pg_ctl`` takes a zombie
postmaster for a running server. Second, it kills all its descendants when it ends. Its first child runs the SSH servers
and supervisors of the lab's hosts (see ``serve``).
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from drillbook.errors import LabError
from drillbook.lab import processes
from drillbook.lab.folder import note_failure
from drillbook.lab.identity import CHOICE
from drillbook.lab.layout import Lab


class _Ended(BaseException):
    """Raised when the daemon receives SIGTERM or SIGINT."""


def main() -> int:
    """Run the daemon until it gets SIGTERM, or until its child has ended. The child runs the SSH servers and
    supervisors of the lab's hosts."""
    folder = Path(sys.argv[1])
    _log_to(folder / "daemon.log")
    lab = Lab.read(folder)
    me = processes.find(os.getpid())
    if lab is None or me is None:
        logging.error("no lab.json in %s", folder)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    processes.adopt_orphans()
    lab = dataclasses.replace(lab, pid=me.pid, started=me.started, identity=os.environ.get(CHOICE, "same"))
    lab.write()
    processes.record(folder, "daemon", me.pid)
    try:
        server = os.fork()
        if server == 0:
            _serve(lab)
        status = _reap_until(server)
        logging.error("the child process that serves the hosts ended with status %d", status)
        return 1
    except _Ended:
        return 0
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        processes.end_children()


def _serve(lab: Lab) -> None:
    """Run the SSH servers and supervisors of the lab's hosts in this child process. Never returns."""
    processes.die_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    status = 1
    try:
        from drillbook.lab import serve  # noqa: PLC0415  slow to load

        serve.main(lab)
        status = 0
    except LabError as error:
        logging.error("%s", error)
        note_failure(lab.folder, error)
    except BaseException:
        logging.exception("the lab cannot be served")
    finally:
        logging.shutdown()
        os._exit(status)


def _reap_until(server: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == server:
            return os.waitstatus_to_exitcode(status)


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended


def _log_to(path: Path) -> None:
    """Redirect the output of the daemon to the log file ``path``, because the daemon has no terminal."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


if __name__ == "__main__":
    sys.exit(main())
