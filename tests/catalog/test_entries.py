"""Catalogue: contains every shipped drill with its requirements, and each can be copied with all files that it needs."""

import json
from pathlib import Path

import pytest

from drillbook.catalog import entries, shipped_files
from drillbook.errors import UnknownName
from drillbook.plan import drill_files, spec

ROOT = Path(__file__).parents[2]


def test_every_shipped_drill_suite_and_tree_is_an_entry():
    drills = set(drill_files.names_in(ROOT / "drills"))
    trees = {path.stem for path in (ROOT / "drills" / "diagnosis").glob("*.yml")}
    names = [entry.name for entry in entries.entries()]
    assert {entry.name for entry in entries.entries() if entry.sort in ("drill", "suite")} == drills
    assert {entry.name for entry in entries.entries() if entry.sort == "tree"} == trees
    assert len(names) - len(set(names)) == len(drills & trees)
    assert all(entry.purpose for entry in entries.entries())
    assert [entry.name for entry in entries.entries() if entry.lab and not entry.kinds] == []


def test_every_shipped_file_belongs_to_an_entry():
    copied = {path for entry in entries.entries() for path in entry.files}
    shipped = {path for folder in ("drills", "inventory", "lab") for path in shipped_files.below(folder)}
    assert shipped == copied


def test_an_entry_says_what_it_needs():
    lost = entries.find("postgres-lost")
    assert (lost.sort, lost.subject, lost.lab, lost.breaks) == ("drill", "postgres", "embedded", True)
    assert {"postgres", "s3", "http"} <= set(lost.kinds)
    rehearsal = entries.find("rehearse-database")
    assert not rehearsal.breaks
    assert {"pg_dump", "postgres"} <= set(rehearsal.kinds)
    assert entries.find("rehearse-volume").lab == "docker"


def test_a_kind_selects_and_its_own_drills_come_first():
    found = entries.selected("postgres")
    assert found[0].subject == "postgres"
    assert all("postgres" in entry.kinds for entry in found)
    with pytest.raises(UnknownName, match="did you mean 'postgres'"):
        entries.selected("postgre")
    with pytest.raises(UnknownName, match="did you mean 'mariadb'"):
        entries.selected("MySQL")
    with pytest.raises(UnknownName, match="did you mean 'quarterly'"):
        entries.find("quartely")


def test_a_suite_brings_its_drills_and_a_diagnosis_its_trees():
    suite = entries.copies(["quarterly"])
    members = spec.load(ROOT / "drills" / "quarterly.yml", known=drill_files.names_in(ROOT / "drills")).drills
    stems = {Path(path).stem for path in suite}
    assert {"quarterly", *members} <= stems
    assert "drills/diagnosis/postgres.yml" in entries.copies(["api-down"])
    assert suite["drills/handbook/api-down.yml"].startswith(
        "# yaml-language-server: $schema=../../.drillbook/drill.schema.json\n"
    )


NOT_MEASURED: set[str] = set()
"""Entries without a measured run; to measure them, run `invoke drill NAME` on their lab and then `invoke docs
--results`.
"""


def test_every_drill_and_suite_was_measured_or_is_named_here():
    runnable = [entry for entry in entries.entries() if entry.sort in ("drill", "suite")]
    assert {entry.name for entry in runnable if entry.seconds is None} == NOT_MEASURED


def test_durations_name_entries_that_exist():
    known = json.loads((ROOT / "src/drillbook/catalog" / entries.DURATIONS).read_text())
    assert set(known) <= {entry.name for entry in entries.entries() if entry.sort in ("drill", "suite")}
    assert all(seconds > 0 for seconds in known.values())


@pytest.mark.parametrize(
    ("kind", "service", "drill"),
    [
        ("folder", "guestbook", "rehearse-guestbook"),
        ("folder", "api_files", "rehearse-volume"),
        ("folder", "other", "rehearse-archives"),
        ("mariadb", "shop", "rehearse-shop-dump"),
        ("qdrant", "vectors", "routine-vectors"),
        ("nothing", "other", ""),
        ("", "", ""),
    ],
)
def test_the_drill_to_copy_restores_such_a_service(kind, service, drill):
    assert entries.to_copy(kind, service) == drill
    assert entries.to_copy(kind, service, {"another"}) == drill
    assert entries.to_copy(kind, service, {drill, "another"}) == "", "the project has it"


def test_no_drill_of_backups_that_a_lab_lacks_is_to_be_copied_for_its_services():
    assert entries.to_copy("qdrant", "vectors", lab=True) == "vectors-diverged"
    assert entries.to_copy("redis", "cache", lab=True) == "rehearse-cache"
