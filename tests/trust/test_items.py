"""Texts that are executed when they are read: the list is complete, and shipped files need no trust."""

from pathlib import Path

import pytest

from drillbook.language import strict
from drillbook.project.project import Project
from drillbook.sdk.action import find, known_names
from drillbook.sdk.probe import Probe, find_probe
from drillbook.trust import items
from drillbook.trust.scan import scan
from drillbook.trust.shipped import SHIPPED

ROOT = Path(__file__).parents[2]
NOT_EXECUTED = {
    "postgres.explain": "planned in a read-only transaction, and not carried out",
    "postgres.restore_rows": "only in a run",
    "qdrant.reconcile": "only in a run",
    "postgres.create_index": "only in a run",
    "postgres.planned": "planned in a read-only transaction, and not carried out",
    "prometheus.query": "PromQL only asks",
    "prometheus.range": "PromQL only asks",
}
WORDS = {"argv", "program", "query", "where", "script", "command", "definition", "expression"}


def test_every_action_with_a_text_that_is_executed_says_so():
    """A new parameter of this kind must be declared as ``CODE`` or ``READY_CODE``, or added to this table with a reason."""
    kinds = {name: find(name) for name in known_names()}
    said = {name: {kind.CODE, kind.READY_CODE} for name, kind in kinds.items()}
    probes = {name: find_probe(name) for name in known_names(Probe)}
    assert not set(probes) & set(kinds) - {"tcp.open"}
    kinds |= probes
    said |= {name: {kind.CODE} for name, kind in probes.items()}
    texts = {name: set(kind.model_fields) & WORDS for name, kind in kinds.items()}
    assert {name for name, found in texts.items() if found - said[name]} == set(NOT_EXECUTED)
    for name, kind in kinds.items():
        for code in filter(None, said[name]):
            assert code in kind.model_fields, name


def walk(value, key=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)
    elif isinstance(value, str) and key in ("query", "where") and "{{" not in value:
        yield value


def test_statements_that_ship_are_known_and_no_others():
    files = [
        *(ROOT / "drills").rglob("*.yml"),
        *(ROOT / "src" / "drillbook" / "cli" / "templates" / "diagnosis").glob("*.yml"),
    ]
    found = {items.of_text(text) for path in files for text in walk(strict.load(path).value)}
    assert found == SHIPPED


def test_nothing_that_ships_needs_trust_but_the_docker_lab(monkeypatch, tmp_path):
    monkeypatch.setenv("DRILLBOOK_LAB", str(tmp_path / "lab"))
    found = scan(Project(ROOT))
    assert [item.kind for item in found.items] == ["docker compose"]
    assert found.unread == ()
    assert "lab/Dockerfile" in found.items[0].files


@pytest.mark.parametrize("text", ["SELECT 1;", "SELECT 1 ", "select 1", "{{ 'SELECT 1' }}", ["SELECT 1"], None])
def test_only_the_very_statement_is_the_one_that_ships(text):
    assert items.shipped("SELECT 1")
    assert not items.shipped(text)
