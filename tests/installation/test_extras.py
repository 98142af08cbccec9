"""Detecting the way of installation, and the matching command to add an extra."""

import json
import sys
import tomllib
from pathlib import Path

import pytest
from bench import lock

from drillbook.errors import MissingExtra
from drillbook.installation import extras
from drillbook.installation.extras import Installation

ROOT = Path(__file__).parents[2]


class Distribution:
    """Metadata of an installed distribution with this ``direct_url.json``."""

    version = "1.2.3"

    def __init__(self, content: str | None) -> None:
        self.content = content

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.content


WHEEL = "file:///w/drillbook-1.0.0-py3-none-any.whl"
COMMIT = {"url": "https://git.example.org/d.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        ({"url": WHEEL, "archive_info": {}}, f"-m pip install 'drillbook[lab] @ {WHEEL}'"),
        ({"url": "file:///my/clone", "dir_info": {"editable": True}}, "-m pip install -e '/my/clone[lab]'"),
        (COMMIT, "-m pip install 'drillbook[lab] @ git+https://git.example.org/d.git@abc'"),
        (None, "-m pip install 'drillbook[lab]==1.2.3'"),
    ],
)
def test_the_command_takes_the_same_source_again(monkeypatch, tmp_path, content, ending):
    text = json.dumps(content) if content else None
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Distribution(text))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    command = extras.current().adding("lab")
    assert command.endswith(ending)
    assert command.startswith(sys.executable)


@pytest.mark.parametrize(
    ("marker", "begin"), [("pipx_metadata.json", "pipx install --force "), ("uv-receipt.toml", "uv tool install --force ")]
)
def test_tools_that_make_environments_are_known_by_their_files(monkeypatch, tmp_path, marker, begin):
    (tmp_path / marker).write_text("{}")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert extras.current().adding("age").startswith(begin)


def test_the_hint_names_what_is_missing_and_how_to_add_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as caught:
        extras.require("lab", "the embedded lab")
    assert caught.value.exit_status == 2
    assert "the embedded lab needs the extra `lab`: the package asyncssh is not installed" in str(caught.value)
    assert "Drillbook was installed by" in caught.value.hint


def test_every_extra_is_one_of_the_project():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.MODULES) == set(known) - {"dev", "docs", "mutants"}
    assert set(lock.EXTRAS) == set(extras.MODULES)
    assert extras.extra_of("opentelemetry.sdk") == "otel"
    assert extras.extra_of("json") == ""
    assert str(Installation("pipx", "/x", editable=True)) == "Drillbook was installed by pipx as editable from /x"
