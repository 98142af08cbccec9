"""No secret is written or shown: run folder, terminal, and command lines and environments of the run's processes.

Secrets are the passwords of the database, the store's secret key, the token of a service, and every signature made
with the secret key (valid for an hour). The store's access key id is not secret: it is in each presigned URL and
gives no access.
"""

from __future__ import annotations

import base64
import io
import os
import re
import threading
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from rich.console import Console

from drillbook.cli.access import redactor_for
from drillbook.errors import UsageError
from drillbook.inventory import inventory
from drillbook.plan.planner import make
from drillbook.plan.spec import load
from drillbook.report.terminal.event_lines import Progress
from drillbook.report.terminal.summary import summary

TOKEN = "tok+n/of a=service&\u00fc"
SIGNATURE = re.compile(rb"X-Amz-Signature=[0-9a-f]{64}", re.IGNORECASE)


def forms(secret: str) -> set[bytes]:
    """The secret itself, base64 at each of three offsets without the incomplete characters, and URL-encoded."""
    found = {secret.encode(), quote(secret, safe="").encode(), quote_plus(secret).encode(), quote(secret).encode()}
    for offset in range(3):
        raw = base64.b64encode(b"x" * offset + secret.encode())
        core = raw[4 if offset else 0 : len(raw) - 4]
        found |= {core, core.replace(b"+", b"-").replace(b"/", b"_")}
    return {form for form in found if len(form) >= 8}


class Sampler(threading.Thread):
    """Reads command lines and environments of all processes during a run, except those of the servers."""

    def __init__(self, before: set[int]) -> None:
        super().__init__(daemon=True)
        self.before, self.stop, self.seen = before, threading.Event(), {}
        self.samples = 0

    def run(self) -> None:
        while not self.stop.is_set():
            self.samples += 1
            for pid in {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()} - self.before - {os.getpid()}:
                for part in ("cmdline", "environ"):
                    try:
                        data = Path(f"/proc/{pid}/{part}").read_bytes()
                    except OSError:
                        continue
                    if data:
                        self.seen[(pid, part, hash(data))] = data
            self.stop.wait(0.004)


@pytest.fixture
def watched():
    sampler = Sampler({int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()})
    sampler.start()
    yield sampler
    sampler.stop.set()
    sampler.join()


def test_a_secret_shows_nowhere(bench, watched, monkeypatch, capfd):
    monkeypatch.setenv("DRILL_TOKEN", TOKEN)
    lab = bench.project.root / "inventory" / "lab.yml"
    lab.write_text(
        lab.read_text().replace(
            "services:\n", ("services:\n  tokened: {kind: redis, host: store-1, password: !env DRILL_TOKEN}\n"), 1
        )
    )
    site = bench.project.inventory("lab")
    screen = io.StringIO()
    console = Console(file=screen, width=100, force_terminal=True)
    echo = (
        '  - command.run: {argv: [sh, -c, "cat \\"$1\\"; base64 \\"$1\\"; cat \\"$1\\" >&2", sh, "SECRET"], effect: read}\n'
        "    name: A target that shouts its password\n    hosts: db-1\n"
    )
    path = str(bench.value("secrets.pg_admin"))
    plan = bench.plan("postgres-lost", ("ready:\n", "ready:\n" + echo.replace("SECRET", path)), inventory=site)
    folder, view = bench.run(plan, Progress(console), inventory=site)
    console.print(summary(view, "report.html"))
    assert view.result.exit == 0, view.result.reason
    watched.stop.set()
    watched.join()
    out = capfd.readouterr()
    places = {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    places |= {
        "index.html": (folder.parent / "index.html").read_bytes(),
        "terminal": screen.getvalue().encode(),
        "stdout": out.out.encode(),
        "stderr": out.err.encode(),
    }
    processes = {
        f"{part} of {pid}: {data[:200]!r}": data
        for (pid, part, _), data in watched.seen.items()
        if not (part == "environ" and _inherits(data))
    }
    secrets = {name: bench.secret(name) for name in ("pg_admin", "pg_app", "s3_secret")} | {"token": TOKEN}
    for name, secret in secrets.items():
        for where, data in (places | processes).items():
            assert not any(form in data for form in forms(secret)), f"{name} shows in {where}"
    for where, data in (places | {k: v for k, v in processes.items() if k.startswith("cmdline")}).items():
        assert not SIGNATURE.search(data), f"a signature shows in {where}"
    assert b"***" in places[str(folder / "journal.jsonl")], "the shouted password was journalled, redacted"
    assert watched.samples > 50
    lines = b" ".join(data for (_, part, _), data in watched.seen.items() if part == "cmdline")
    assert b"pg_dump" in lines, "the sampler saw the backup's own processes"
    assert b"pg_restore" in lines
    environments = b" ".join(data for (_, part, _), data in watched.seen.items() if part == "environ")
    assert b"PGPASSFILE=" in environments, "the sampler saw the environment of a backup's own process"


def _inherits(data: bytes) -> bool:
    """A child process of the test that has the token in its environment, as the operator's shell has."""
    return b"PYTEST_CURRENT_TEST" in data


def test_a_secret_in_plain_text_is_refused_before_anything_runs(bench):
    path = bench.project.root / "inventory" / "plain.yml"
    path.write_text(
        "environment: lab\nhosts: {h: {address: 192.0.2.1}}\nservices:\n"
        "  api: {kind: redis, host: h, unit: swordfish-token, password: !file token}\n"
    )
    (path.parent / "token").write_text("swordfish-token")
    site = inventory.load(path)
    drill = bench.project.root / "drills" / "plain.yml"
    drill.write_text("drill: plain\ntitle: x\nservice: api\nverify:\n  - service.status: {service: api}\n")
    with pytest.raises(UsageError, match="appears in plain text") as caught:
        redactor_for(make(load(drill), site))
    assert "swordfish" not in str(caught.value)
