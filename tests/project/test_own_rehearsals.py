"""Drills that restore the backup of a service, but are drills of the backup source."""

from drillbook.project import own_rehearsals
from drillbook.project.needed_inventories import Inventories, Listed
from drillbook.project.own_rehearsals import OwnRehearsal
from drillbook.project.schedules import Scheduled

SOURCES = {"hourly": ("pg_dump", ""), "nightly": ("pg_dump", "shop"), "site": ("tar", "")}
DRILLS = (
    Scheduled("a", services=("hourly",), environments=("staging",), restores=True),
    Scheduled("b", services=("nightly",), environments=("staging",), restores=True),
    Scheduled("c", services=("site",), environments=("lab",), restores=True),
)


def of(service, kind, drills=DRILLS, environment="staging"):
    known = Inventories("site", (Listed("site", "staging", False, frozenset(), {}, SOURCES),))
    return own_rehearsals.of(service, kind, environment, drills, known)


def test_the_source_of_the_service_is_preferred_to_one_that_may_be_its():
    assert of("shop", "postgres") == OwnRehearsal("b", "nightly", named=True)
    assert of("other", "postgres") == OwnRehearsal("a", "hourly", named=False)
    assert of("other", "redis") is None, "a dump of PostgreSQL is no backup of it"


def test_only_a_drill_that_restores_and_may_run_there_counts():
    assert of("files", "folder") is None, "it may run in the lab alone"
    assert of("shop", "postgres", environment="production") is None
    checks = Scheduled("b", services=("nightly",), environments=("staging",))
    assert of("shop", "postgres", (checks,)) is None
    assert of("shop", "postgres", (Scheduled("s", suite=True, services=("nightly",), restores=True),)) is None
    assert own_rehearsals.of("shop", "postgres", "staging", DRILLS, None) is None
