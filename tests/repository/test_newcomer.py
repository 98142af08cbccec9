"""The README's first command, exactly: in a clean clone, with a new virtual environment, by the user of the tests."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Timer

import pytest

from tests import screen
from tests.needs import need

ROOT = Path(__file__).parents[2]
KEPT = re.compile(r"^(PIP_|SSL_|REQUESTS_|CURL_|LANG$|LC_)")


def command() -> str:
    """The line of the README that runs the main task."""
    found = [line for line in (ROOT / "README.md").read_text().splitlines() if line.endswith("invoke drill quarterly")]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def home():
    """Folder that an ordinary user can reach; pytest's folders are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="drillbook-newcomer-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Newcomer:
    """User with a shell, a home folder and the clone."""

    def __init__(self, home: Path, ordinary: bool) -> None:
        self.clone = home / "drillbook"
        self.options: dict = {"user": "nobody", "group": "nogroup", "extra_groups": []} if ordinary else {}
        path = "/usr/local/bin:/usr/bin:/bin" if ordinary else os.environ["PATH"]
        self.environment = {"HOME": str(home), "PATH": path, **{k: v for k, v in os.environ.items() if KEPT.match(k)}}
        subprocess.run(
            ["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(self.clone)], check=True, stdin=subprocess.DEVNULL
        )
        for path in [home, *home.rglob("*")] if ordinary else ():
            shutil.chown(path, "nobody", "nogroup")

    def run(self, *argv: str) -> subprocess.CompletedProcess:
        """Output of a command; on a timeout its whole process group is killed, not only its shell."""
        with subprocess.Popen(
            argv,
            cwd=self.clone,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **self.options,
        ) as child:
            try:
                said = child.communicate(timeout=600)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(argv, child.returncode, *said)

    def watch(self, *argv: str) -> tuple[int, str]:
        """Exit status and raw output of a command on a terminal of 80 columns and 24 lines, as most people have it."""
        ours, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        options = {**self.options, "env": {**self.environment, "TERM": "xterm-256color"}}
        with subprocess.Popen(
            argv, cwd=self.clone, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, **options
        ) as child:
            os.close(terminal)
            killed = Timer(600, partial(os.killpg, child.pid, signal.SIGKILL))
            killed.start()
            try:
                said = screen.read(ours)
                return child.wait(), said
            finally:
                killed.cancel()
                os.close(ours)

    def leave(self) -> subprocess.CompletedProcess:
        """Stop the lab, even if the command that started it failed."""
        return self.run("sh", "-c", "test ! -x .venv/bin/invoke || .venv/bin/invoke lab.down")


ORDINARY = os.geteuid() == 0
"""Root becomes an ordinary user, who has fewer rights; all other tests here run as root."""


@pytest.mark.long(190)
@pytest.mark.parametrize(
    "ordinary",
    [False, True] if os.environ.get("DRILLBOOK_MATRIX") == "all" and ORDINARY else [ORDINARY],
    ids=lambda ordinary: "ordinary-user" if ordinary else "as-is",
)
def test_the_first_command_runs_the_quarterly_suite(home, ordinary):
    need("git")
    if ordinary:
        need("/usr/bin/python3")
    someone = Newcomer(home, ordinary)
    try:
        prepare, _, drill = command().rpartition(" && ")
        done = someone.run("sh", "-c", prepare)
        assert done.returncode == 0, done.stdout + done.stderr
        status, raw = someone.watch("sh", "-c", drill)
        said = screen.lines(raw)
        assert status == 0, "\n".join(said)
        assert len(said) <= 60, "\n".join(said)
        assert said[-1].startswith("✓ PASSED")
        last = "\n".join(said[-23:])  # the screen, without the line of the prompt
        assert re.search(
            r"^  drill +verdict +RTO +RPO +(data lost|lost +lost) +((detected )?by )?probe$", last, re.MULTILINE
        ), last
        assert "7 drills: 7 passed." in last
        assert re.search(r"^  report reports/\S+/report.html$", last, re.MULTILINE)
        assert re.search(
            r"^  Next\n    read the report\n      (\.venv/bin/)?invoke report.open$", "\n".join(said), re.MULTILINE
        )
        latest = someone.clone / "reports" / "latest"
        suite = json.loads((latest / "result.json").read_text())
        assert (suite["verdict"], suite["exit"], len(suite["runs"])) == ("passed", 0, 7)
        for run in suite["runs"]:
            agree("\n".join(said), latest / run["folder"])
        assert (latest / "report.html").exists()
        assert (someone.clone / "reports" / "index.html").exists()
    finally:
        down = someone.leave()
    assert down.returncode == 0, down.stderr
    assert "everything that it created was removed" in down.stdout


def agree(terminal: str, folder: Path) -> None:
    """The table at the end of the terminal, the HTML and result.json show the same figures. Those of the table are rounded."""
    result = json.loads((folder / "result.json").read_text())
    html = [float(text) for text in re.findall(r"([0-9]+(?:[.][0-9]+)?) s\b", (folder / "report.html").read_text())]
    row = terminal[terminal.index("verdict ") :].partition(f" {result['drill']} ")[2].partition("\n")[0]
    assert "rto" in result["objectives"]
    for key in ("rto", "rpo"):
        if key not in result["objectives"]:
            continue  # not every disaster loses writes
        if key == "rpo" and "~ in part" in row:
            continue  # the column beside it has the rows that the figure does not cover
        measured = result["objectives"][key]["measured_s"]
        assert measured is not None
        shown = [
            (float(text), 1.01 * 10.0 ** -len(text.partition(".")[2]))
            for bound, text in re.findall(r"[✓~] (≤ )?([0-9.]+) s", row)
            if bound or abs(float(text) - measured) <= 1.01 * 10.0 ** -len(text.partition(".")[2])  # the RTO is rounded up
        ]
        assert shown, f"the terminal does not show {key} {measured}: {row}"
        assert any(abs(value - exact) <= unit for value, unit in shown for exact in html)
