"""Headless Chromium, controlled through a pipe with its DevTools protocol: pages at any width, in any mode, and
screenshots.
"""

from __future__ import annotations

import base64
import fcntl
import importlib.util
import json
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
MODES = {"light": ("screen", "light"), "dark": ("screen", "dark"), "print": ("print", "light")}
WIDTHS = (1280, 390)
A4_WIDTH = 688
"""Width in pixels between the margins of a printed page."""
PATIENCE_S = 120.0

# Chromium reads commands from descriptor 3 and answers on 4; this puts the two pipes there and becomes Chromium.
STARTER = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"

MEASURE = """(() => {
  const page = document.documentElement;
  const seen = [...document.querySelectorAll("body *")].filter((one) => !one.closest(".box, svg, .skip"));
  const out = seen.filter((one) => one.getBoundingClientRect().right > page.clientWidth + 8);
  const drawings = [...document.querySelectorAll(".timeline figure svg")];
  const pen = document.createElement("canvas").getContext("2d");
  const covered = [...document.querySelectorAll("td[data-head]")].filter((one) => {
    const head = getComputedStyle(one, "::before");
    if (head.position !== "absolute" || !one.textContent.trim()) return false;
    pen.font = `${head.fontWeight} ${head.fontSize} ${head.fontFamily}`;
    return pen.measureText(one.dataset.head).width > parseFloat(getComputedStyle(one).paddingLeft);
  });
  return {room: page.clientWidth, needed: page.scrollWidth, covered: covered.slice(0, 3).map((one) => one.dataset.head), out: out.slice(0, 3).map((one) => one.outerHTML.slice(0, 200)),
    drawn: drawings.filter((one) => one.getBoundingClientRect().width > 0).length};
})()"""
UNFOLD = 'for (const one of document.querySelectorAll("details")) one.open = true'
AXE = """axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations.map((one) => ({
  id: one.id, impact: one.impact, help: one.help, count: one.nodes.length,
  nodes: one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200) + " " + (node.any[0] || {message: ""}).message)})))"""


def axe_script() -> str:
    """Source of axe-core, from the newest of the packages that contain it; none of them is imported."""
    for package in ("axe_playwright_python", "axe_core_python"):
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            return (Path(folder) / "axe.min.js").read_text(encoding="utf-8")
    raise FileNotFoundError("no axe.min.js: pip install -e '.[dev]' brings it, in the package axe-core-python")


class Chrome:
    """One browser with one page, as a context manager."""

    def __init__(self, program: str, profile: Path) -> None:
        out_of, into = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (out_of[0], into[1])]
        self._write, self._read = out_of[1], into[0]
        self._process = subprocess.Popen(
            [sys.executable, "-c", STARTER, *map(str, theirs), program, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (*theirs, out_of[0], into[1]):
            os.close(end)
        self._rest, self._last, self._session = b"", 0, None
        self.said: list[str] = []
        """Messages of pages on the console, uncaught errors, and refused requests."""

    def __enter__(self) -> Chrome:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)  # a browser whose pipe ends goes away by itself
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        left = json.dumps(message).encode() + b"\0"
        while left:
            left = left[os.write(self._write, left) :]
        answer = self._until(lambda one: one.get("id") == self._last, method)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _until(self, wanted: Any, what: str) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        while True:
            while b"\0" in self._rest:
                line, self._rest = self._rest.split(b"\0", 1)
                one = json.loads(line)
                self._note(one)
                if wanted(one):
                    return one
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{what}: no answer within {PATIENCE_S:g} s"
            data = os.read(self._read, 1 << 20)
            assert data, f"{what}: the browser is gone with status {self._process.poll()}"
            self._rest += data

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.consoleAPICalled":
            self.said.append(f"{params['type']}: {[one.get('value') for one in params['args']]}")
        elif message.get("method") == "Runtime.exceptionThrown":
            self.said.append(f"exception: {params['exceptionDetails']['text']}")
        elif message.get("method") == "Log.entryAdded":
            self.said.append(f"{params['entry']['level']}: {params['entry']['text']}")

    def look(self, width: int, mode: str) -> None:
        """Show the page at ``width`` in one of MODES."""
        media, scheme = MODES[mode]
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, page: Path) -> None:
        """Load ``page`` completely."""
        self.call("Page.navigate", url=page.as_uri())
        state = ""
        end = time.monotonic() + PATIENCE_S
        while state != ["complete", page.as_uri()]:
            assert time.monotonic() < end, f"{page} is {state}"
            state = self.run("[document.readyState, location.href]")

    def run(self, script: str) -> Any:
        """Evaluate ``script`` in the page, and wait for its value."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def measure(self) -> dict[str, Any]:
        """Width of the page, elements that exceed it, labels of fields that the fields cover, and the number of visible timelines."""
        return self.run(MEASURE)

    def unfold(self) -> None:
        """Open every fold of the page."""
        self.run(UNFOLD)

    def violations(self) -> list[dict[str, Any]]:
        """Violations that axe-core reports for the page."""
        if not self.run("typeof axe === 'object'"):
            self.run(axe_script() + "\n0")
        return self.run(AXE)

    def picture(self, path: Path) -> None:
        """Screenshot of the whole page as a PNG."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def paper(self, path: Path) -> int:
        """Print the page on A4 into a PDF. Return the number of pages."""
        found = base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
        path.write_bytes(found)
        return len(re.findall(rb"/Type\s*/Page\b(?!s)", found))
