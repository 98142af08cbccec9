"""The pages in a real browser: no horizontal scrolling, nothing on the console."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import need
from tests.report import renderings

CASES = ["passed.html", "aborted.html", "hostile.html", "long_run.html", "inconclusive.html", "suite.html", "index.html"]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--window-size=1600,1200",
]
HARNESS = """<!doctype html><title>wait</title><body>{frames}<pre id="out">pending</pre><script>
addEventListener("load", () => {{
  const found = {{}};
  for (const frame of document.querySelectorAll("iframe")) {{
    const page = frame.contentDocument;
    for (const one of page.querySelectorAll("details")) one.open = {opened};
    const wide = page.documentElement;
    const seen = [...page.querySelectorAll("body *")].filter((one) => !one.closest(".box, svg, .skip"));
    const out = seen.filter((one) => one.getBoundingClientRect().right > wide.clientWidth + 1);
    const drawings = [...page.querySelectorAll(".timeline figure svg")];
    found[frame.id] = {{room: wide.clientWidth, needed: wide.scrollWidth,
      out: out.slice(0, 3).map((one) => one.outerHTML.slice(0, 200)),
      drawn: drawings.filter((one) => one.getBoundingClientRect().width > 0).length}};
  }}
  document.getElementById("out").textContent = JSON.stringify(found);
}});
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    need("chromium")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found
    return found


def dump(browser: str, profile: Path, page: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [browser, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.mark.parametrize("opened", ["false", "true"], ids=["folded", "unfolded"])
def test_no_horizontal_scrolling_and_a_quiet_console(browser: str, tmp_path: Path, opened: str) -> None:
    frames = ""
    for name in CASES:
        (tmp_path / name).write_text(renderings.ALL[name](), encoding="utf-8")
        for width in (390, 1440):
            frames += f'<iframe id="{name}-{width}" src="{name}" style="width:{width}px;height:800px;border:0"></iframe>'
    (tmp_path / "harness.html").write_text(HARNESS.format(frames=frames, opened=opened), encoding="utf-8")
    done = dump(browser, tmp_path / "profile", tmp_path / "harness.html")
    match = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.S)
    assert match
    found = json.loads(html.unescape(match[1]))
    assert len(found) == 2 * len(CASES)
    for name, page in found.items():
        assert page["room"] == int(name.rpartition("-")[2])
        assert page["needed"] <= page["room"], (name, page)
        assert page["out"] == [], name
    assert found["passed.html-390"]["drawn"] == found["passed.html-1440"]["drawn"] == 1
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
