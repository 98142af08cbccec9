"""Env files, compared with their templates; values are never shown."""

import json

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.systems.units.actions.env import Matches

TEMPLATE = "# the API\nDATABASE_URL=\nexport REDIS_URL=\nDEBUG=''\n# optional: SENTRY_DSN=\n"


def env(ground, text, template=TEMPLATE):
    (ground.root / "template").write_text(template)
    if text is not None:
        (ground.root / "env").write_text(text)
    return Matches(file=str(ground.root / "env"), template=str(ground.root / "template")).run(ground.ctx())


def test_an_env_file_that_is_complete(ground):
    found = env(ground, "DATABASE_URL=postgres://x\nREDIS_URL='redis://y'\nDEBUG=\nSENTRY_DSN=z\nEXTRA=1\n")
    assert (found["missing"], found["empty"], found["extra"]) == ([], [], ["EXTRA"])


@pytest.mark.parametrize(
    ("text", "missing", "empty"),
    [
        ("DATABASE_URL=hidden-value\nDEBUG=1\n", ["REDIS_URL"], []),
        ("DATABASE_URL=\nREDIS_URL=hidden-value\nDEBUG=\n", [], ["DATABASE_URL"]),
        ("# DATABASE_URL=hidden-value\nREDIS_URL=x\nDEBUG=\n", ["DATABASE_URL"], []),
        (None, ["DATABASE_URL", "DEBUG", "REDIS_URL"], []),
    ],
)
def test_names_that_are_missing_and_never_a_value(ground, text, missing, empty):
    with pytest.raises(StepFailed) as told:
        env(ground, text)
    assert (told.value.facts["missing"], told.value.facts["empty"]) == (missing, empty)
    assert told.value.facts["present"] is (text is not None)
    assert "hidden-value" not in str(told.value) + json.dumps(told.value.facts) + str(told.value.findings)


def test_without_a_template_nothing_is_known(ground):
    action = Matches(file=str(ground.root / "env"), template=str(ground.root / "template"))
    with pytest.raises(CouldNotVerify, match=r"the template .* does not exist"):
        action.run(ground.ctx())
