"""Controllers as separate processes, which tests can signal, freeze and kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from drillbook.sdk.web import ask

PROGRAM = "import sys; sys.argv[0] = 'drillbook'; from drillbook.cli.program import main; main()"


def start(bench, *arguments, root=None):
    """Start the program with ``arguments`` in the bench's project, or in the project ``root``."""
    environment = {**os.environ, "DRILLBOOK_LAB": str(bench.lab)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=root or bench.project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def journal_of(folder):
    """Events of a journal that may still grow."""
    lines = (folder / "journal.jsonl").read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def wait_for(bench, process, kind, step=None, *, root=None, seconds=120):
    """Wait until the journal of the run contains an event. Return the run's folder."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, process.stdout.read()
        for path in ((root or bench.project.root) / "reports").glob("[!.]*/journal.jsonl"):
            if any(event["kind"] == kind and step in (None, event.get("step")) for event in journal_of(path.parent)):
                return path.parent
        time.sleep(0.02)
    raise AssertionError(f"no {kind} {step} within {seconds} s")


def healthy(bench):
    return ask(f"{bench.value('api.url')}/health", timeout=5).status == 200


def eventually(held, seconds=30):
    """Return True when ``held`` becomes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if held():
                return True
        except OSError:
            pass
        time.sleep(0.1)
    return False


def eventually_healthy(bench, seconds=30):
    return eventually(lambda: healthy(bench), seconds)
