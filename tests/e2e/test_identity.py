"""Two databases with the same name in two clusters: a backup of one does not allow destroying the other."""

from __future__ import annotations

import psycopg
import pytest

from drillbook.judge.result import Verdict
from drillbook.plan.planner import make
from drillbook.plan.spec import load

SPARE = """\
drill: spare-{name}
title: {name}
service: spare
guard: {{environments: [lab]}}
"""
MADE = (
    SPARE.format(name="made")
    + """\
backup:
  - postgres.dump: {service: database, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/dpa"}
    save: dump
restore:
  - postgres.restore: {service: spare, from: "{{ dump.location }}"}
"""
)
LOST = (
    SPARE.format(name="lost")
    + """\
backup:
  - postgres.dump: {service: spare, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/dpa"}
    save: dump
  - postgres.backup_intact: {service: spare, from: "{{ dump.location }}"}
  - postgres.dump: {service: spare, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/again"}
    save: again
inject:
  - postgres.lose_data: {service: spare}
restore:
  - postgres.restore: {service: spare, from: "{{ dump.location }}"}
verify:
  - postgres.matches: {service: spare, manifest: "{{ dump.manifest }}"}
  - postgres.backup_intact: {service: spare, from: "{{ dump.location }}"}
"""
)


@pytest.fixture
def spare(bench):
    """The spare with its own cluster, with a database of the primary's name and content."""
    bench.spoiled = True
    _, view = bench.run(drill(bench, "made", MADE))
    assert facts(view, "restore.1")["fresh_cluster"], view.result.findings
    return bench


def drill(bench, name, text):
    path = bench.changed(f"spare-{name}")
    path.write_text(text)
    return make(load(path), bench.inventory)


def with_params(plan, step, **params):
    """Change parameters of one step that are only known during the run, so that the plan cannot be refused for them."""
    steps = [one.model_copy(update={"params": one.params | params}) if one.id == step else one for one in plan.steps]
    return plan.model_copy(update={"steps": tuple(steps)})


def system(bench, host):
    """System identifier of the cluster that answers at a host's port."""
    with psycopg.connect(
        host="127.0.0.1",
        port=bench.value(f"postgres.{host}"),
        dbname="dpa",
        user="postgres",
        password=bench.secret("pg_admin"),
    ) as session:
        assert session.execute("SELECT count(*) FROM documents").fetchone()[0] >= 20_000
        return session.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()[0]


def told(view, code):
    (found,) = [one for one in view.result.findings if one.code == code]
    return found


def facts(view, step):
    return next(one.facts for one in view.result.steps if one.id == step)


def test_the_backup_of_another_database_destroys_nothing(spare):
    plan = drill(spare, "lost", LOST)
    mine, primary = system(spare, "db-2"), system(spare, "db-1")
    assert mine != primary

    _, view = spare.run(with_params(plan, "backup.1", service="database"))
    found = told(view, "backup-of-another")
    assert mine in found.wanted
    assert primary in found.measured
    assert (view.result.verdict, view.result.residue) == (Verdict.FAILED, ())

    _, view = spare.run(with_params(plan, "restore.1", **{"from": "{{ again.location }}"}))
    found = told(view, "backup-unproven")
    assert mine in found.wanted
    assert "/again" in found.measured
    assert (view.result.verdict, view.result.residue) == (Verdict.INCONCLUSIVE, ())

    _, view = spare.run(with_params(with_params(plan, "backup.1", service="database"), "backup.2", service="database"))
    assert view.result.verdict is Verdict.INCONCLUSIVE
    assert (system(spare, "db-2"), system(spare, "db-1")) == (mine, primary), "nothing was broken"


def test_what_a_restore_made_takes_the_place_of_what_was_lost(spare):
    """A restored dump creates a new system identifier; the proof by this same dump stays valid."""
    before = system(spare, "db-2")
    _, view = spare.run(drill(spare, "lost", LOST))
    assert view.result.verdict is Verdict.PASSED, view.result.findings
    after = system(spare, "db-2")
    assert after != before
    assert facts(view, "backup.2")["identity"]["of"]["system"] == before
    assert facts(view, "restore.1")["made"]["of"]["system"] == after
    assert facts(view, "restore.1")["made"]["manifest"] == facts(view, "backup.2")["identity"]["manifest"]
    assert facts(view, "verify.2")["of_this_service"] is True
