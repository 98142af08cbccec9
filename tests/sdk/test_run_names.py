"""Names of runs tell the drill."""

import pytest

from drillbook.sdk.run_names import drill_of, short


@pytest.mark.parametrize(
    ("run", "drill"),
    [
        ("20261130T180913.484Z-quarterly-e6a8", "quarterly"),
        ("20261130T180913.484Z-table-dropped-3c4f", "table-dropped"),
        ("20261130T180913.484Z-table-dropped", ""),
        ("nightly/dpa", ""),
        ("", ""),
    ],
)
def test_the_drill_in_the_name_of_a_run(run, drill):
    assert drill_of(run) == drill


def test_the_short_name_of_a_run_has_its_drill_and_its_digits():
    assert short("20261130T180913.484Z-table-dropped-3c4f") == "table-dropped-3c4f"
    assert short("no-run") == "no-run"
