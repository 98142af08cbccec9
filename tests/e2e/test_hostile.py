"""Hostile targets: their output is only text for Drillbook, whatever it contains.

And many unreachable hosts at the same time. The runs are real, on the controller itself, in a separate process whose
peak memory is measured.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from drillbook.journal.journal import FILE, read
from tests.ports import free_port
from tests.program import here

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
LIMIT_MB = 200
RUN = """
import json, re, sys
from pathlib import Path
from drillbook.cli import run
from drillbook.project.project import Project

def peak():  # of this program alone: ru_maxrss would begin with that of the process that started it
    return int(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])

base = peak()
status = run.drill(Project(Path(sys.argv[1])), "hostile", "here")
Path(sys.argv[1], "measured.json").write_text(json.dumps(
    {"status": status, "base": base // 1024, "peak": peak() // 1024}))
"""
HEAD = "drill: hostile\ntitle: A hostile target\nservice: app\nguard: {environments: [lab]}\n"
NASTY = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(2)></pre></td>]]>&lt;--><!-- \" onload='x'",
    "escapes": "\x1b[2J\x1b[31mred\x1b]0;owned\x07\x1b]8;;http://evil\x1b\\link\x1bP\x9b31m\x00\x08\x7f\r\nover",
    "templates": "{{ 7 * 7 }} {% for x in [1] %}{{ config }}{% endfor %} ${jndi:ldap://x} {{ run.__class__ }}",
    "rich": "[bold red]x[/] [link=http://evil]y[/link] [/nonsense] :smile:",
    "markdown": "| a | b |\n|---|---|\n# head\n```\n[x](javascript:alert(1)) ![i](http://evil/x.png) <b>`",
    "unicode": "\u202eevil\u2066 \ufeff \u2028 \ufffe",
}


def run(tmp_path, steps, timeout=90):
    """Run a drill of ``steps`` through the code of the real command in a process. Return its output, status and memory."""
    (tmp_path / "drills").mkdir()
    (tmp_path / "inventory").mkdir()
    (tmp_path / "drills" / "hostile.yml").write_text(HEAD + "restore:\n" + steps)
    (tmp_path / "inventory" / "here.yml").write_text(
        f"environment: lab\nhosts: {{{here(tmp_path)}}}\nservices: {{app: {{kind: process, host: controller}}}}\n"
    )
    done = subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, timeout=timeout, check=False)
    assert (tmp_path / "measured.json").exists(), done.stderr.decode()[-2000:]
    folder = next(path for path in (tmp_path / "reports").iterdir() if path.is_dir() and not path.is_symlink())
    return folder, done.stdout + done.stderr, json.loads((tmp_path / "measured.json").read_text())


def step(argv, *more):
    return "".join(
        f"  {line}\n"
        for line in (
            f"- command.run: {{argv: {json.dumps(argv)}, effect: read}}",
            "  hosts: controller",
            *(f"  {one}" for one in more),
        )
    )


class Tags(HTMLParser):
    """All elements and attributes of a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def harmless(folder, output):
    """Check that all files of the run are text in their format, without control characters."""
    text = output.decode("utf-8")
    assert not CONTROL.search(text), repr(CONTROL.search(text))
    for name in ("journal.jsonl", "result.json", "report.md", "report.html", "junit.xml"):
        content = (folder / name).read_bytes().decode("utf-8")
        assert not CONTROL.search(content), (name, repr(content[max(0, CONTROL.search(content).start() - 60) :][:90]))
    for line in (folder / FILE).read_text().splitlines():
        json.loads(line)
    read(folder / FILE)
    ET.parse(folder / "junit.xml")
    page = Tags()
    page.feed((folder / "report.html").read_text())
    assert "script" not in {tag for tag, _ in page.found}
    assert not [attrs for _, attrs in page.found if any(key.startswith("on") for key in attrs)]
    assert not [attrs for _, attrs in page.found if "evil" in str(attrs) or "javascript:" in str(attrs)]
    page = Tags()
    page.feed(MarkdownIt("commonmark").enable("table").render((folder / "report.md").read_text()))
    assert not {tag for tag, _ in page.found} & {"script", "img", "b", "a"}, page.found


@pytest.mark.parametrize("kind", NASTY)
def test_what_a_target_prints_is_text(tmp_path, kind):
    (tmp_path / "says").write_bytes(NASTY[kind].encode())
    steps = step(["cat", str(tmp_path / "says")], "save: said")
    steps += step(["sh", "-c", 'cat "$1" >&2; exit 3', "sh", str(tmp_path / "says")], "name: Fails and says so")
    steps += step(["true", "{{ said.stdout }}"])
    folder, output, measured = run(tmp_path, steps)
    assert measured["status"] == 1
    harmless(folder, output)
    said = json.loads((folder / "result.json").read_text())["steps"][0]["facts"]["stdout"]
    if kind in ("markup", "templates", "rich", "markdown"):
        assert said == NASTY[kind].rstrip("\n")


def test_invalid_utf_8_is_text(tmp_path):
    folder, output, measured = run(
        tmp_path, step(["sh", "-c", "printf '\\377\\376\\300\\200\\355\\240\\200'; printf '\\377' >&2; exit 1"])
    )
    assert measured["status"] == 1
    harmless(folder, output)


def test_a_line_of_50_mb(tmp_path):
    line = "import sys\nfor _ in range(50): sys.stdout.write('y' * 1_000_000)\n"
    folder, output, measured = run(
        tmp_path,
        step([sys.executable, "-c", line], "save: said")
        + step([sys.executable, "-c", line.replace("stdout", "stderr") + "sys.exit(1)"]),
    )
    assert measured["status"] == 1
    assert measured["peak"] < LIMIT_MB, measured
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 1_000_000
    harmless(folder, output)


def test_endless_output_ends_with_the_step(tmp_path):
    folder, output, measured = run(tmp_path, step(["sh", "-c", "exec yes '<script>endless'"], "timeout: 2s"))
    assert measured["status"] == 1
    assert measured["peak"] < LIMIT_MB, measured
    assert read(folder / FILE).events[-1].kind == "run.finished"
    harmless(folder, output)


def test_all_unreachable_hosts_are_named_at_once_and_nothing_runs(tmp_path):
    (tmp_path / "drills").mkdir()
    (tmp_path / "inventory").mkdir()
    (tmp_path / "drills" / "hostile.yml").write_text(
        HEAD + f"restore:\n  - command.run: {{argv: [touch, {tmp_path}/ran], effect: read}}\n    hosts: 'all:controller'\n"
    )
    hosts = "".join(f"  dead-{n}: {{address: 127.0.0.1, port: {free_port()}, user: nobody}}\n" for n in (1, 2, 3))
    (tmp_path / "inventory" / "here.yml").write_text(
        f"environment: lab\nhosts:\n  {here(tmp_path)}\n{hosts}services: {{app: {{kind: process, host: controller}}}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert json.loads((tmp_path / "measured.json").read_text())["status"] == 4, done.stderr
    for n in (1, 2, 3):
        assert f"dead-{n}" in done.stdout
    folder = next(path for path in (tmp_path / "reports").iterdir() if path.is_dir() and not path.is_symlink())
    result = json.loads((folder / "result.json").read_text())
    assert all(f"dead-{n}" in json.dumps(result) for n in (1, 2, 3))
    assert not (tmp_path / "ran").exists()
