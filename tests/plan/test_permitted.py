from __future__ import annotations

import pytest

from drillbook.plan.permitted import only_in


@pytest.mark.parametrize(
    ("environments", "words"),
    [
        ((), "may run in no environment"),
        (("staging",), "may run only in staging"),
        (("staging", "test"), "may run only in staging or test"),
        (("staging", "test", "lab"), "may run only in staging, test or lab"),
    ],
)
def test_the_permitted_environments_are_alternatives(environments: tuple[str, ...], words: str) -> None:
    assert only_in(environments) == words
