"""Rows in the results of steps: reports show the first of them, and the next step about missing data names the step."""

from __future__ import annotations

from typing import Any

import pytest

from drillbook.findings import finding
from drillbook.judge.recovery_record import Act
from drillbook.judge.result import RunView
from drillbook.report import html, listed_rows, markdown, next_steps, recovery_rows
from drillbook.report.markdown_syntax import code
from tests.report import samples
from tests.report.test_agreement import plain


def result(*rows: list[Any], columns: tuple[str, ...] = ("id",), **more: Any) -> dict[str, Any]:
    """Facts of a statement that changed rows and returned them."""
    told = {"columns": list(columns), "rows": list(rows), "rowcount": len(rows), "truncated": False, "value": rows[0][0]}
    return told | {"effect": "write"} | more


FIVE = result([24040], [24037], [24038], [24039], [24041])
LISTED = "24040, 24037, 24038, 24039, 24041"


def changed(facts: dict[str, Any], *, codes: tuple[str, ...] = ("removed-data-missing",), status: str = "done") -> RunView:
    """Run that passed and lost rows. Its last verification has ``facts``."""
    known = samples.recorded("passed")
    last = next(step for step in reversed(known.steps) if step.phase == "verify")
    made = last.result.model_copy(update={"facts": facts, "status": status})
    steps = tuple(
        step.model_copy(update={"result": made, "name": "Mark <b>"}) if step is last else step for step in known.steps
    )
    found = tuple(finding(code, wanted="all 10 rows", measured="7 came back", step="restore.1") for code in codes)
    results = tuple(step.result for step in steps)
    return known.model_copy(
        update={"steps": steps, "result": known.result.model_copy(update={"steps": results, "findings": found})}
    )


def test_the_facts_of_a_step_have_its_rows_in_each_report() -> None:
    view = changed(FIVE)
    assert f"effect `write`, 5 rows \\(id\\) `{LISTED}`" in markdown.render(view)
    assert f'<dt>Result</dt><dd class="text">5 rows (id): <bdi>{LISTED}</bdi></dd>' in html.render(view)


def test_the_table_of_a_recovery_has_them_too() -> None:
    act = {"sort": "step", "step": "verify.3", "host": "a", "what": "postgres.sql", "how": "", "fault": False, "start": 1.0}
    act |= {"end": 2.0, "status": "done", "message": "", "events": (5, 9), "facts": FIVE}
    told = recovery_rows.result(Act.model_validate(act))
    assert told == ("done", "done", f"effect write; 5 rows (id): {LISTED}")


def test_only_the_first_rows_are_listed_and_long_values_are_cut() -> None:
    many = listed_rows.of_facts(result(*([number] for number in range(12))))
    assert many == ("12 rows (id)", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more")
    limited = listed_rows.of_facts(result(*([number] for number in range(1000)), rowcount=1500, truncated=True))
    assert limited is not None
    assert limited.number == "1500 rows (id)"
    assert limited.values.endswith(", 9, and 1490 more")
    wide = listed_rows.of_facts(result(["x" * 50, None, True], ["a\n\x1b", {"b": 1}, 2.5], columns=("name", "at", "ok")))
    assert wide is not None
    assert wide.number == "2 rows (name, at, ok)"
    first, second = wide.values.split("; ")
    assert first == "x" * 40 + "…, null, true"
    assert second.isprintable()
    assert len(listed_rows.of_facts(result(["x" * 50] * 99, columns=("a", "b"))).values) == 101  # type: ignore[union-attr]


def test_a_single_row_that_was_changed_is_listed() -> None:
    assert listed_rows.of_facts(result([7])) == ("1 row (id)", "7")


def test_values_are_escaped() -> None:
    view = changed(result(["<b>`|"], ["y"]))
    assert "<bdi>&lt;b&gt;`|, y</bdi>" in html.render(view)
    assert f"2 rows \\(id\\) {code('<b>`|, y')}" in markdown.render(view)


@pytest.mark.parametrize(
    "facts",
    [
        {"rows": 118846, "tables": 1},
        result([7], effect="read"),
        {"columns": [], "rows": [], "rowcount": 5, "value": None},
        {"rows": "x", "columns": "y"},
        {"rows": [1, 2], "columns": ["id"]},
    ],
)
def test_a_number_and_a_single_value_are_no_list(facts: dict[str, Any]) -> None:
    assert listed_rows.of_facts(facts) is None
    assert listed_rows.others(facts) == facts


def test_the_next_step_about_missing_data_names_the_step_that_lists_rows() -> None:
    view = changed(FIVE)
    step = next(step for step in view.steps if step.name == "Mark <b>").result.id
    first = next_steps.in_report(view)[0][0]
    assert f"look for records that refer to it; {step} (Mark <b>) lists 5 rows. To close the finding, let the drill" in first
    assert f"{step} (Mark <b>) lists 5 rows" in plain(html.render(view))
    assert next_steps.on_terminal(view, [("read the report", "x")])[0][0] == first


@pytest.mark.parametrize(
    "view",
    [
        changed(FIVE | {"effect": "read"}),
        changed(FIVE, status="failed"),
        changed(FIVE, codes=()),
        changed(FIVE, codes=("fault-unproven",)),
    ],
)
def test_only_rows_that_a_step_changed_after_a_loss_are_named(view: RunView) -> None:
    assert not any("lists 5 rows" in what for what, _ in next_steps.in_report(view))


def test_a_step_before_the_restore_is_not_named() -> None:
    view = changed(FIVE)
    assert listed_rows.after_restore(view, "restore.1")
    last = view.result.steps[-1].id
    assert listed_rows.after_restore(view, "restore.99") == ""
    facts = {"inject.1": FIVE, last: {}}
    steps = tuple(step.model_copy(update={"facts": facts.get(step.id, step.facts)}) for step in view.result.steps)
    other = view.model_copy(update={"result": view.result.model_copy(update={"steps": steps})})
    assert "inject.1" not in listed_rows.after_restore(other, "restore.1")
