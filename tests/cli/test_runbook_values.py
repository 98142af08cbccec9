"""Values that are known only during a run are named in a runbook, and nothing is computed with them."""

import pytest

from drillbook.cli.runbook_values import Later, NotKnown, Values
from drillbook.language import template


@pytest.fixture
def values():
    made = object.__new__(Values)
    made._names = {"made": Later("backup.1"), "hosts": ["db-1", "db-2"]}
    return made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rm -- {{ made.path }}", "rm -- <path of backup.1>"),
        ("{{ made.step }}", "<step of backup.1>"),
        ("{{ made.files[0] }}", "<files.0 of backup.1>"),
        ("to {{ hosts | join(' ') }}", "to db-1 db-2"),
    ],
)
def test_a_part_of_a_result_is_named(values, text, said):
    assert values.of(text) == said


@pytest.mark.parametrize(
    "expression",
    [
        "made.list | join(',')",
        "'a' in made.list",
        "made.list | list",
        "made.list | sort",
        "made.list | length",
        "made.rows | int",
        "'y' if made.ok else 'n'",
        "not made.ok",
        "made.x == 'a'",
        "made.x != 'a'",
        "made.rows > 3",
    ],
)
def test_nothing_is_computed_with_it(values, expression):
    assert values.of(f"{{{{ {expression} }}}}") == f"<computed: {expression}>"
    with pytest.raises((ValueError, NotKnown)):
        template.expression(expression, values._names)
