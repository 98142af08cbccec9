"""Documentation as a site: strict build, links and anchors, width in a browser, and pages that match the code."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.needs import need
from tests.report.chrome import Chrome

ROOT = Path(__file__).parents[2]
DOCS, SOURCE = ROOT / "docs", ROOT / "src" / "drillbook"
WIDTHS = (1280, 400)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, built from a copy, so that the checkout does not change."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(DOCS, folder / "docs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


class Page(HTMLParser):
    """Ids, links and other addresses of a page."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded = set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe") and found.get("src"):
            self.loaded.append(found["src"])
        if tag == "link" and "canonical" not in str(found.get("rel")) and found.get("href"):
            self.loaded.append(found["href"])


@pytest.fixture(scope="module")
def pages(site):
    found = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    assert len(found) >= len(list(DOCS.rglob("*.md")))
    return found


def navigated(entry):
    """Files in the navigation."""
    if isinstance(entry, str):
        return [entry]
    return [name for one in (entry.values() if isinstance(entry, dict) else entry) for name in navigated(one)]


def test_the_navigation_names_every_page_once():
    named = navigated(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(named) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_links_and_anchors_lead_somewhere(site, pages):
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].ids if target in pages else set()
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in known):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    found = {
        f"{path.relative_to(site)}: {name}" for path, page in pages.items() for name in page.loaded if urlsplit(name).netloc
    }
    assert found == set()


@pytest.mark.long(110)
def test_no_page_scrolls_sideways(site, pages, tmp_path):
    with Chrome(need("chromium"), tmp_path / "profile") as chrome:
        for width in WIDTHS:
            chrome.look(width, "light")
            wide = {}
            for path in pages:
                chrome.open(path)
                found = chrome.run("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
                if found[0] > found[1]:
                    wide[str(path.relative_to(site))] = found[0]
            assert wide == {}, f"wider than {width} px"


def texts():
    """Text constants of the source."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def read_from_the_environment():
    """Names of environment variables that the source reads, without those of the lab's programs."""
    found = {text for text in texts() if re.fullmatch(r"DRILLBOOK_[A-Z_]+|(XDG|OTEL)_[A-Z_]+", text)}
    for path in SOURCE.rglob("*.py"):
        if path.is_relative_to(SOURCE / "lab" / "app"):
            continue
        found |= set(re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"", path.read_text()))
    return found


INTERNAL = {
    "DRILLBOOK_MATRIX": "of the tests",
    "DRILLBOOK_EXAMPLES": "of the tests",
    "PYTHONDONTWRITEBYTECODE": "set for the lab's programs",
}
"""Variables in the source that the page omits, each with the reason."""


def test_the_page_of_environment_variables_is_that_of_the_code():
    rows = re.findall(r"^\| (`.+?) \|", (DOCS / "environment.md").read_text(), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    code = read_from_the_environment() - INTERNAL.keys()
    assert code - listed == set(), "describe them in docs/environment.md"
    everywhere = {"PATH", "HOME", "TERM", "COLUMNS", "NO_COLOR"}
    assert listed - code - everywhere == set(), "no code reads them"


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_code():
    headings = re.findall(r"^### (``.+``|`.+`)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(headings) > 15
    known = " ".join(" ".join(text.split()) for text in texts()).lower()
    for heading in headings:
        parts = [part.strip(" ;:") for part in heading.strip("`").split("…")]
        missing = [part for part in parts if len(part) > 3 and part.lower() not in known]
        assert missing == [], heading


def test_paths_of_a_target_are_those_of_the_code():
    """Page and code agree on the names of folders and units that stay on a host."""
    page, code = (DOCS / "on-targets.md").read_text(), " ".join(texts())
    scripts = " ".join(path.read_text() for path in SOURCE.rglob("*.sh"))
    for word in ("/var/lib/drillbook", "~/.local/state/drillbook", "-boot", "@reboot"):
        assert word in page
        assert word in code + scripts, word
