"""Shipped drills to copy for services without a drill: those that can run as they are come first, and the others are named
with what they need."""

from drillbook.project import drills_to_copy
from drillbook.project.drills_to_copy import Copy
from drillbook.project.needed_inventories import Inventories, Listed

KINDS = {
    "cache": "redis",
    "originals": "s3",
    "backups": "s3",
    "files": "s3",
    "api_files": "folder",
    "shop": "mariadb",
    "queue": "rabbitmq",
}
MISSING = {"api_files": "the Docker lab, by `--inventory docker`", "shop": "MariaDB"}
LAB = Listed("lab", "lab", True, frozenset(KINDS), MISSING)


def copies(*services, own=(), listed=(LAB,), environment="lab"):
    return drills_to_copy.of(services, KINDS, own, Inventories("lab", listed), environment)


def test_a_drill_that_can_run_as_it_is_comes_first():
    assert copies("api_files", "originals", "cache") == [
        Copy("rehearse-cache", ("cache",)),
        Copy("object-corrupted", ("originals",)),
        Copy("rehearse-volume", ("api_files",), "docker"),
    ]


def test_a_drill_that_cannot_run_here_is_named_with_the_command_that_runs_it():
    (volume,) = copies("api_files")
    run = "`drillbook drill rehearse-volume --inventory docker`"
    assert volume.commands("drillbook") == f"`drillbook init --with rehearse-volume`, then {run}"
    (shop,) = copies("shop")
    assert shop.commands("drillbook") == "`drillbook init --with rehearse-shop-dump` (needs an installation of MariaDB)"
    (cache,) = copies("cache")
    assert cache.commands("invoke") == "`invoke init --with rehearse-cache`"


def test_another_inventory_of_the_project_is_preferred():
    docker = Listed("containers", "lab", True, frozenset(KINDS))
    assert copies("shop", listed=(LAB, docker)) == [Copy("rehearse-shop-dump", ("shop",), "containers")]


def test_a_drill_of_another_service_of_the_environment_is_left_out():
    """A copy of object-corrupted would restore the originals, and never the backups."""
    assert copies("backups") == []
    assert copies("backups", "originals") == [Copy("object-corrupted", ("originals",))]
    site = Listed("site", "staging", False, frozenset({"files"}))
    (template,) = copies("files", listed=(LAB, site), environment="staging")
    assert template == Copy("object-corrupted", ("files",), adapted=True), "the lab's services are in another environment"


def test_a_drill_of_routine_backups_is_not_copied_where_only_a_lab_would_run_it():
    def of(*listed):
        inventories = Inventories("lab", listed)
        return drills_to_copy.of(["vectors"], {"vectors": "qdrant"}, (), inventories, listed[0].environment)

    lab = Listed("lab", "lab", True, frozenset({"vectors"}))
    copied = [Copy("routine-vectors", ("vectors",))]
    assert of(lab) == [Copy("vectors-diverged", ("vectors",))]
    adapted = [Copy("routine-vectors", ("vectors",), adapted=True)]
    assert of(Listed("own", "staging", False, frozenset({"vectors"}))) == adapted
    assert of(lab, Listed("own", "lab", False, frozenset({"vectors"}))) == copied


def test_a_service_of_no_lab_gets_the_drill_of_routine_backups_which_must_be_adapted():
    """A drill that has the name of the service, such as rehearse-cache, takes its backup with programs of the lab."""
    site = Listed("site", "staging", False, frozenset({"cache"}))
    (copy,) = copies("cache", listed=(site,), environment="staging")
    assert copy == Copy("routine-cache", ("cache",), adapted=True)
    assert copy.commands("drillbook") == "`drillbook init --with routine-cache`, which names what to adapt"
    assert copies("cache", listed=(LAB, site)) == [Copy("rehearse-cache", ("cache",))]


def test_nothing_is_copied_twice_or_for_an_unknown_kind():
    assert copies("cache", "queue", own={"rehearse-cache"}) == []
    assert drills_to_copy.of(["cache"], KINDS, ()) == [Copy("rehearse-cache", ("cache",))]
