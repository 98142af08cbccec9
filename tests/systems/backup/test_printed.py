"""Backups printed by a command: the command does not tell the age of their data, so that no age is reported."""

import shlex

import pytest

from drillbook.errors import CouldNotVerify
from tests.systems.backup.test_actions import archive
from tests.systems.estate import Estate
from tests.systems.refusals import refused_until

OLD_S = 30 * 86400


@pytest.fixture
def place(tmp_path):
    archive(tmp_path / "backups", "old.tar", "text", OLD_S)
    file = str(tmp_path / "backups" / "old.tar")
    return Estate(
        tmp_path,
        services={"copy": {"kind": "folder", "sandbox": {}}},
        backups={
            "printed": {"kind": "tar", "at": ["cat", file]},
            "limited": {"kind": "tar", "at": ["cat", file], "max_age": "26h"},
            "named": {"kind": "tar", "at": file},
            "lines": {"kind": "pg_dump", "at": shlex.split(f"cat {file}")},
        },
    )


def test_no_age_is_told(place):
    listed, checked = (place.run(name, service="printed") for name in ("backup.list", "backup.check"))
    restored = place.restore("printed", "copy")
    place.remove("printed", "copy")
    assert [facts["age_s"] for facts in (listed, checked, restored)] == [None] * 3
    basis = "start of the command, by the controller's clock; the age of the data that it prints is unknown"
    assert listed["newest"]["basis"] == restored["backup"]["basis"] == basis
    assert place.run("backup.list", service="named")["age_s"] > OLD_S


def test_a_dump_is_not_said_to_end_when_the_command_starts(place):
    assert "the end of the dump" not in place.run("backup.list", service="lines")["newest"]["basis"]


def test_a_loss_is_not_measured_without_the_age_of_the_data(place):
    services = ["printed", "named"]
    said = "printed reads its backup from a command, which does not tell the age of the data"
    measure = place.action("backup.measure", service="printed")
    refused_until(
        lambda: place.action("backup.measure", service=services[0]).ready(place.ctx()), said, lambda: services.pop(0)
    )
    with pytest.raises(CouldNotVerify, match="the age of the data of output of printed is unknown"):
        measure.run(place.ctx())


@pytest.mark.parametrize("action", ["backup.list", "backup.check"])
def test_a_limit_of_an_unknown_age_is_not_met(place, action):
    services = ["limited", "printed"]
    refused_until(
        lambda: place.action(action, service=services[0]).ready(place.ctx()),
        "`max_age` of limited cannot be judged: the age of the data that its command prints is unknown",
        lambda: services.pop(0),
    )


def test_the_output_of_a_command_has_no_name_with_a_time(place):
    source = place.inventory.services["printed"]
    sources = [source.model_copy(update={"newest": "name"}), source]

    def check():
        place.inventory.services["printed"] = sources[0]
        place.action("backup.check", service="printed").ready(place.ctx())

    refused_until(check, "printed: the output of a command has no name that contains a time", lambda: sources.pop(0))
