"""Drills that restore a routine backup of a service are found by what they do, not by their names."""

import shutil
from pathlib import Path

import pytest

from drillbook.catalog import entries
from drillbook.plan.planner import make
from drillbook.project import routine_restores
from drillbook.project.project import Project
from drillbook.sdk import discovery
from drillbook.sdk.action import Effect

ROOT = Path(__file__).parents[2]
OWN = """
drill: {name}
title: A drill
service: database
guard: {{environments: [lab]}}
backup:
  - {backup}
    save: found
restore:
  - {restore}
"""
TAKES = "postgres.dump: {service: database, to: 's3://x/y'}"
CHECKS_OWN = f"{TAKES}\n    save: own\n  - postgres.backup_intact: {{service: database, from: '{{{{ own.location }}}}'}}"
CHECKS_FOUND = (
    "postgres.newest_backup: {service: database, store: backups, taken_by: [nightly-dump]}\n    save: newest\n"
    "  - postgres.backup_intact: {service: database, from: '{{ newest.location }}'}"
)
JOB = "command.run: {effect: write, argv: [backup]}"
ANY_DRILL = "postgres.newest_backup: {service: database, store: backups}"
READS = ANY_DRILL.replace("backups}", "backups, taken_by: [nightly-dump]}")
FROM_FOUND = "postgres.restore: {service: spare, from: '{{ found.location }}'}"
FROM_SOURCE = "backup.restore: {service: database_copy, from: database_dumps}"


@pytest.fixture
def project(tmp_path):
    for folder in ("drills", "inventory"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return Project(tmp_path)


def found(project, name):
    return routine_restores.of(project, make(project.drill(name), project.inventory("lab")))


def test_each_drill_that_a_system_names_is_shipped_and_restores_a_routine_backup_of_it(project):
    named = {system.name: system.routine_drill for system in discovery.systems() if system.routine_drill}
    assert named == {
        "mariadb": "routine-shop",
        "postgres": "routine-database",
        "qdrant": "routine-vectors",
        "redis": "routine-cache",
    }
    for system, drill in named.items():
        entry = entries.find(drill)
        assert entry.subject == system
        plan = make(project.drill(drill), project.inventory("lab"))
        assert all(step.effect is Effect.READ for step in plan.phase("backup")), "it takes no backup itself"
        assert discovery.routine_drill(f"{system}.restore") == drill
        assert discovery.own_backups(f"{system}.restore") is (system == "redis"), (
            "only the cache writes its RDB files itself"
        )
    assert (discovery.routine_drill("files.restore"), discovery.routine_drill("no_system.restore")) == ("", "")


def test_the_shipped_drills(project):
    database = found(project, "postgres-lost")
    assert database == found(project, "table-dropped")
    assert "restore-newest" not in database, "it also restores a backup that a drill took for itself"
    path = project.root / "drills" / "restore-newest.yml"
    text = path.read_text().replace("store: backups}\n", "store: backups, taken_by: [nightly-dump], max_age: 26h}\n")
    assert text != path.read_text()
    path.write_text(text)
    assert found(project, "postgres-lost") == ("routine-database", "restore-newest"), (
        "the second one takes a backup only when there is none"
    )
    assert not {"rehearse-database", "rehearse-wal"} & set(database), "they run the team's job first"
    assert not {"postgres-lost", "table-dropped", "database-lost", "data-orphans"} & set(database), (
        "they take their own backup"
    )
    assert found(project, "cache-lost") == ("routine-cache",), "each other rehearsal lets it save its data first"
    assert found(project, "vectors-diverged") == ("routine-vectors",)
    assert found(project, "restore-newest") is not None
    assert found(project, "api-down") is None, "it takes no backup"


@pytest.mark.parametrize(
    ("backup", "restore", "environment", "named"),
    [
        (READS, FROM_FOUND, "lab", True),
        (ANY_DRILL, FROM_FOUND, "lab", False),
        (ANY_DRILL, FROM_SOURCE, "lab", True),
        (TAKES, FROM_FOUND, "lab", False),
        (CHECKS_OWN, FROM_FOUND, "lab", False),
        (CHECKS_FOUND, FROM_FOUND, "lab", True),
        (TAKES, FROM_SOURCE, "lab", False),
        (JOB, FROM_SOURCE, "lab", False),
        (JOB.replace("effect: write", "effect: read"), FROM_SOURCE, "lab", True),
        (f"parallel: [{{{JOB}}}]", FROM_SOURCE, "lab", False),
        (f"{TAKES}\n    when: not seen.found", FROM_SOURCE, "lab", True),
        (READS, FROM_SOURCE, "lab", True),
        (READS, FROM_FOUND, "staging", False),
        (READS, "nonsense", "lab", False),
        (READS, "postgres.restore: {service: spare, from: '{{ found.'}", "lab", False),
    ],
)
def test_only_what_restores_a_backup_that_it_did_not_take(project, backup, restore, environment, named):
    shutil.rmtree(project.root / "drills")
    (project.root / "drills").mkdir()
    shutil.copy(ROOT / "drills" / "postgres-lost.yml", project.root / "drills")
    text = OWN.format(name="mine", backup=backup, restore=restore).replace("[lab]", f"[{environment}]")
    (project.root / "drills" / "mine.yml").write_text(text)
    (project.root / "drills" / "broken.yml").write_text("service: database\n  - no YAML\n")
    plan = make(project.drill("postgres-lost"), project.inventory("lab"))
    assert routine_restores.of(project, plan) == (("mine",) if named else ())
