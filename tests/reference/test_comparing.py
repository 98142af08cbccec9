"""The section about comparisons of content names each action that compares, and shows an example that a test runs."""

from __future__ import annotations

from drillbook.reference import comparing
from drillbook.sdk import examples
from drillbook.sdk.action import find, known_names
from tests.examples import ROOT
from tests.executed import executed


def test_every_action_that_compares_with_a_backup_is_listed_with_its_drills():
    text = comparing.section()
    assert [name for name in known_names() if find(name).COMPARES and f"[`{name}`]" not in text] == []
    assert "env.matches" not in text
    assert comparing.drills_with("postgres.matches")[:2] == ["full-drill", "postgres-lost"]
    (row,) = [line for line in text.splitlines() if line.startswith("| [`redis.matches`]")]
    assert "`cache-lost`" in row
    assert text in (ROOT / "docs" / "drills.md").read_text()


def test_the_example_for_own_data_is_that_of_a_drill_that_a_test_runs():
    shown = examples.of("content.matches", ROOT / "drills")
    assert shown is not None
    assert shown.text in comparing.section()
    assert "content.take" in shown.text
    assert shown.drill in executed()
