"""Pictures of the documentation, from real runs on a new lab: `invoke pictures` (needs chromium and tmux).

A project is created in an empty folder, its drills run in a terminal of tmux, and Chromium renders the terminal and
the reports.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text
from tests.report.chrome import Chrome

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
HOME = Path("/var/tmp/kim")
"""Home of the user in the pictures, removed afterwards; its path is visible in some pictures, so it is short and
always the same.
"""
WIDTH, LINES = 100, 34
PATIENCE_S = 300.0
MOST_LINES = 60
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Terminal</title><style>
body {{ margin: 0; background: #1b1b1b; padding: 18px 22px; width: max-content; }}
pre {{ margin: 0; font: 15px/1.4 "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace; color: #d9d9d9; }}
b {{ color: #8ab4f8; font-weight: normal; }}</style><body><pre><b>$</b> {command}\n{screen}</pre></body></html>"""
DRILL = "cache-stopped"
"""Drill of the tutorial. The pictures of the tutorial show this drill."""
MISSPELT = "terminal-mistake"
TERMINAL = {
    "terminal-drill": "drillbook drill quarterly",
    "terminal-plan": f"drillbook drill.plan {DRILL}",
    MISSPELT: f"drillbook drill {DRILL}",
}
"""Pictures of the terminal, each with its command, in the order in which they are run. The first is the only run; all pictures of
reports show this run.
"""
SHOWN = "postgres-lost"
"""Drill of that run whose report is shown."""


def drill(picture: str) -> str:
    """Text of the tutorial's drill, with a misspelt action for the picture of a mistake."""
    pages = (DOCS / "tutorial.md").read_text()
    text = pages.partition(f"```yaml\ndrill: {DRILL}\n")[2].partition("```")[0]
    text = f"drill: {DRILL}\n{text}"
    return text.replace("service.start:", "service.sttart:") if picture == MISSPELT else text


class Terminal:
    """A terminal of tmux with a shell in the project's folder."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.socket = folder / "tmux.socket"
        size = ["-x", str(WIDTH), "-y", str(LINES)]
        shell = ["env", "-i", *(f"{key}={value}" for key, value in environment.items()), "sh"]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder / "acme"), shlex.join(shell))

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-S", str(self.socket), *words], check=True, capture_output=True, text=True)
        return done.stdout

    def screen(self, command: str) -> str:
        """Lines that ``command`` prints, with their colours, as the terminal shows them at the end."""
        self._tmux("send-keys", "-R", f"clear; {command}; echo ended-$?; tput civis", "Enter")
        until = time.monotonic() + PATIENCE_S
        while not re.search(
            r"^(?:\x1b\[[0-9;]*m)*ended-\d", text := self._tmux("capture-pane", "-e", "-p", "-S", "-"), re.M
        ):
            if time.monotonic() > until:
                raise SystemExit(f"{command} did not end:\n{text}")
            time.sleep(0.1)
        lines = text.rstrip().splitlines()
        end = next(number for number, line in enumerate(lines) if "ended-" in line)
        self._tmux("send-keys", "-R", "tput cnorm", "Enter")
        self._tmux("clear-history")
        whole = lines[:end]
        return "\n".join(whole if end <= MOST_LINES else [*whole[: MOST_LINES - 1], f"… {end - MOST_LINES + 1} more lines"])

    def close(self) -> None:
        """End the terminal."""
        self._tmux("kill-server")


@contextmanager
def project() -> Iterator[tuple[Path, dict[str, str]]]:
    """A project with the suite `quarterly` in an empty folder, and the environment of its user; the lab is removed afterwards."""
    HOME.mkdir(mode=0o700)  # fails if it exists, because then another process makes pictures
    folder = HOME
    (folder / "bin").mkdir()
    program = folder / "bin" / "drillbook"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m drillbook.cli "$@"\n')
    program.chmod(0o755)
    path = f"{folder}/bin:{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin"
    environment = {
        "PATH": path,
        "HOME": str(folder),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PS1": "",
        "DRILLBOOK_LAB": str(folder / "lab"),
        "DRILLBOOK_OPERATOR": "kim@acme",
    }
    try:
        for words in (["init", "acme", "--with", "quarterly"], ["lab.up"]):
            where = folder / "acme" if words == ["lab.up"] else folder
            subprocess.run([str(program), *words], cwd=where, env=environment, check=True, stdin=subprocess.DEVNULL)
        yield folder, environment
    finally:
        subprocess.run([str(program), "lab.down"], cwd=folder / "acme", env=environment, check=False)
        shutil.rmtree(folder)


def html(command: str, screen: str) -> str:
    """Page that shows ``screen``, text with the colours of a terminal, below its command."""
    out = Console(record=True, width=WIDTH, file=Path(os.devnull).open("w"), color_system="truecolor")  # noqa: SIM115
    out.print(Text.from_ansi(screen), soft_wrap=True)
    code = out.export_html(theme=MONOKAI, inline_styles=True, code_format="{code}")
    return PAGE.format(command=command, screen=code.strip())


def shoot(chrome: Chrome, page: Path, target: Path, width: int, height: int, until: str = "body") -> None:
    """Write the upper ``height`` pixels of ``page`` at ``width`` as a PNG; less when the element ``until`` ends above
    them.
    """
    chrome.look(width, "light")
    chrome.open(page)
    tall = int(
        chrome.run(
            f"Math.ceil(document.querySelector('{until}').getBoundingClientRect().bottom) + 24 * ('{until}' != 'body')"
        )
    )
    clip = {"x": 0, "y": 0, "width": width, "height": min(tall, height), "scale": 1}
    found = chrome.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    target.write_bytes(base64.b64decode(found["data"]))


def main() -> None:
    """Make every picture."""
    for name in ("tmux", "chromium"):
        if not shutil.which(name):
            raise SystemExit(f"{name} is not installed")
    (DOCS / "pictures").mkdir(exist_ok=True)
    with project() as (folder, environment), Chrome(str(shutil.which("chromium")), folder / "profile") as chrome:
        terminal = Terminal(folder, environment)
        for name, command in TERMINAL.items():
            (folder / "acme" / "drills" / f"{DRILL}.yml").write_text(drill(name))
            page = folder / f"{name}.html"
            page.write_text(html(command, terminal.screen(command)))
            shoot(chrome, page, DOCS / "pictures" / f"{name}.png", 980, 1500)
        reports = folder / "acme" / "reports"
        (shown,) = (reports / "latest").glob(f"*-{SHOWN}-*/report.html")
        shoot(chrome, shown, DOCS / "report.png", 1160, 3000, until=".timeline .key")
        shoot(chrome, reports / "index.html", DOCS / "pictures" / "reports.png", 1160, 900)
        year = datetime.now(UTC).year
        terminal.screen(f"drillbook audit --since {year}-01-01 --until {year}-12-31 --out ../audit")
        terminal.close()
        shoot(chrome, folder / "audit" / "audit.html", DOCS / "pictures" / "audit.png", 1160, 1400)
        shoot(chrome, folder / "audit" / "summary.html", DOCS / "pictures" / "summary.png", 1160, 1400)
    print(f"written: {DOCS / 'report.png'} and {DOCS / 'pictures'}")


if __name__ == "__main__":
    main()
