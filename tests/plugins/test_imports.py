"""Imports of a plugin: `drillbook.sdk` and its modules alone, with the names that the page on plugins lists."""

from __future__ import annotations

import ast
import re
import textwrap

import pytest

import drillbook.sdk
from drillbook import errors, findings, values
from tests.plugins.conftest import SOURCE
from tests.plugins.test_backup_source import SEALED, blocks
from tests.plugins.test_page import PAGE

CODE = {
    **{f"page: {name}": text for name, text in blocks().items() if name.endswith(".py")},
    **{str(path.relative_to(SOURCE)): path.read_text() for path in SOURCE.rglob("*.py")},
    "a source derived from another": SEALED,
}
TABLE = re.compile(r"^\| (?:errors|findings|types of fields) \| (.*) \|$", re.MULTILINE)


def imported(text: str) -> list[tuple[str, str]]:
    """The modules of Drillbook that a module imports, each with the imported name."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [(node.module, alias.name) for alias in node.names]
    return [(module, name) for module, name in found if module.partition(".")[0] == "drillbook"]


def other(text: str) -> list[tuple[str, str]]:
    """Imports of something that is not public."""
    public = set(drillbook.sdk.__all__)
    return [
        (module, name)
        for module, name in imported(text)
        if not (module.startswith("drillbook.sdk.") or (module == "drillbook.sdk" and name in public))
    ]


@pytest.mark.parametrize("name", CODE)
def test_a_plugin_imports_the_sdk_alone(name):
    assert other(CODE[name]) == []


def test_the_plugins_use_the_sdk():
    assert {module for text in CODE.values() for module, _ in imported(text)} >= {"drillbook.sdk", "drillbook.sdk.action"}


@pytest.mark.parametrize(
    "line",
    [
        "from drillbook.errors import NotReady",
        "from drillbook import findings",
        "import drillbook.values",
        "from drillbook.sdk import Journal",
        "from drillbook.sdkother import run",
        "def late():\n    from drillbook.engine.runner import run",
    ],
)
def test_other_imports_are_seen(line):
    assert other(textwrap.dedent(line)) == imported(line) != []


def test_the_page_lists_exactly_the_public_names():
    rows = TABLE.findall(PAGE.read_text())
    assert len(rows) == 3
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(drillbook.sdk.__all__)


def test_the_public_names_are_those_of_drillbook_itself():
    ground = {**vars(values), **vars(findings), **vars(errors)}
    assert [name for name in drillbook.sdk.__all__ if getattr(drillbook.sdk, name) is not ground[name]] == []
