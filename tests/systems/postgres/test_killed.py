"""A controller that is killed between any two statements: running the same action again completes it."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import CommandFailed, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.action import find
from drillbook.systems.postgres import cluster
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.restore import Restoring
from tests.systems.postgres import fixtures

place, primary, backup, restored, target = (
    fixtures.place,
    fixtures.primary,
    fixtures.backup,
    fixtures.restored,
    fixtures.target,
)
ROOT = Path(__file__).parents[3]


def killed(place, ctx, number, name, fields):
    """Run an action in a process that dies after its statement ``number``.

    Return this statement, or None if it survived.
    """
    file = place.folder / "mortal.pickle"
    services = {"store": place.store, **{key: cluster.service for key, cluster in place.clusters.items()}}
    file.write_bytes(
        pickle.dumps(
            {
                "target": place.host.target,
                "services": services,
                "run": ctx.run_id,
                "step": ctx.step,
                "folder": str(ctx.folder),
                "action": name,
                "fields": fields,
            }
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.systems.postgres.mortal", str(file), str(number)],
        cwd=ROOT,
        timeout=120,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout


def databases(cluster):
    return {name for (name,) in cluster.sql("SELECT datname FROM pg_database WHERE NOT datistemplate", database="postgres")}


SHOP = ("--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions")
MOMENTS = [
    (True, 1, "CREATE DATABASE"),
    (True, 2, "ALTER DATABASE"),
    (True, 3, "ALTER DATABASE"),
    (True, 4, "CHECKPOINT"),
    (False, 5, "ALTER DATABASE"),
    (False, 6, "ALTER DATABASE"),
    (False, 7, "ALTER DATABASE"),
]


@pytest.mark.parametrize(("closed", "number", "words"), MOMENTS)
def test_a_restore_killed_after_a_statement_is_done_again(place, backup, restored, closed, number, words):
    fields = {"service": "spare", "from": backup["location"], "closed": closed}
    restored.sql("DROP DATABASE IF EXISTS shop WITH (FORCE)", database="postgres")
    ctx = place.context(step="restore.1")
    assert killed(place, ctx, number, "postgres.restore", fields).startswith(words)
    if not closed:
        restored.sql("INSERT INTO empty VALUES (7)")
    facts = place.run("postgres.restore", ctx=ctx, **fields)
    assert databases(restored) == {"postgres", "shop"}
    assert facts["closed"] is closed
    if closed:
        place.run("postgres.admit", service="spare")
    else:
        assert restored.sql("DELETE FROM empty WHERE a = 7 RETURNING a") == [(7,)], "what clients wrote since is kept"
    assert restored.sql("SELECT datconnlimit FROM pg_database WHERE datname = 'shop'") == [(40,)]
    if number in (3, 7):
        place.run("postgres.matches", service="spare", manifest=backup["manifest"])


@pytest.mark.parametrize("closed", [True, False])
def test_half_a_database_is_discarded_and_lets_nobody_in(place, backup, restored, closed):
    """The controller died while the database was loaded; the recovery runs the undo of the restore first."""
    fields = {"service": "spare", "from": backup["location"], "closed": closed}
    restored.sql("DROP DATABASE IF EXISTS shop WITH (FORCE)", database="postgres")
    ctx = place.context(step="restore.1")
    assert killed(place, ctx, 4, "postgres.restore", fields) == "CHECKPOINT"
    (half,) = databases(restored) - {"postgres"}
    assert half.startswith("shop~restoring~")
    lose, restore = place.action("postgres.lose_data", service="spare"), place.action("postgres.restore", **fields)
    assert (lose.active(ctx), lose.untouched(ctx), restore.active(ctx)) == (True, False, True)
    assert place.run("postgres.clear_restore", ctx=place.context(), service="spare")["discarded"] == [], (
        "it is another run's"
    )
    assert place.run("postgres.clear_restore", ctx=ctx, service="spare") == {"discarded": [half], "opened": False}
    assert databases(restored) == {"postgres"}
    assert (lose.active(ctx), restore.active(ctx)) == (True, False)
    place.run("postgres.restore", ctx=ctx, **(fields | {"closed": False}))
    assert lose.active(ctx) is False
    place.run("postgres.matches", service="spare", manifest=backup["manifest"])


class Dying(LocalHost):
    """Host whose controller is dead and removes nothing at the end."""

    def run(self, argv, **options):
        return super().run(("true",) if argv[0] == "rm" else argv, **options)


def test_a_table_restored_by_a_killed_controller_keeps_what_was_written_since(place, primary, backup):
    """psql committed, and the controller died before it recorded this."""
    fields = {"service": "primary", "from": backup["location"], "table": "orders", "replace": True}
    ctx = place.context(step="restore.1")
    facts = place.run("postgres.restore_table", ctx=replace(ctx, host=Dying(target=place.host.target)), **fields)
    assert facts["compared"] == "the rows were checked in the transaction that restored the table"
    counted = facts["restored_data"]
    assert counted == facts["replaced_data"] == {"rows of public.orders in primary": 500}
    primary.sql("DELETE FROM orders WHERE id = 1")
    facts = place.run("postgres.restore_table", ctx=ctx, **fields)
    assert (facts["compared"], facts["rows"]) == (
        "the rows were checked in the transaction of an earlier attempt of this step",
        499,
    )
    assert facts["restored_data"] == facts["replaced_data"] == counted, "as the attempt counted them"
    place.host.run(("rm", "-rf", ctx.scratch), deadline=ctx.deadline).check()
    facts = place.run("postgres.restore_table", ctx=place.context(step="restore.1"), **fields)
    assert (facts["compared"], facts["rows"]) == ("the rows were checked in the transaction that restored the table", 500)


def test_a_repeated_restore_counts_the_rows_of_a_table_and_of_its_children_as_the_first(place, primary, backup):
    """The answer to the commit is lost, and the step runs again."""
    removed = place.run("postgres.drop_table", service="primary", table="parent")["removed_data"]
    assert removed == {"rows of public.parent in primary": 2}, "one of them is in the child"
    fields = {"service": "primary", "from": backup["location"], "table": "parent"}
    ctx = place.context(step="restore.1")
    facts = place.run("postgres.restore_table", ctx=replace(ctx, host=Dying(target=place.host.target)), **fields)
    assert facts["restored_data"] == removed
    facts = place.run("postgres.restore_table", ctx=ctx, **fields)
    assert facts["compared"] == "the rows were checked in the transaction of an earlier attempt of this step"
    assert facts["restored_data"] == removed
    place.host.run(("rm", "-rf", ctx.scratch), deadline=ctx.deadline).check()
    facts = place.run("postgres.restore_table", ctx=place.context(step="restore.1"), **fields)
    assert facts["compared"] == "the table existed and equals the backup"
    assert "restored_data" not in facts, "the table alone is not all that was removed"


@pytest.mark.parametrize("temporary", [True, False])
def test_half_a_cluster_beside_its_place_is_seen_and_removed(place, backup, target, temporary):
    """The controller died after initdb, before the new cluster was moved to its place."""
    ctx = place.context(step="restore.1")
    action = place.action(
        "postgres.restore", service=target.service.name, temporary=temporary, **{"from": backup["location"]}
    )
    undo = action.undo(ctx)
    tools = Tools.of(ctx, target.service, place.host)
    made = cluster.aside(tools, ctx.run_id)
    cluster.create(made, SHOP)
    others = target.data.with_name(f"{target.data.name}.drillbook-another-1234")
    others.mkdir()
    assert action.active(ctx) is True
    for _ in range(2):
        find(undo.action).model_validate(undo.params).run(ctx)
        assert not list(target.data.parent.glob(f"*{ctx.run_id}*"))
    assert action.active(ctx) is not True
    assert others.exists() is not temporary, "with no temporary one only what is this run's own is removed"
    shutil.rmtree(others, ignore_errors=True)


@pytest.mark.parametrize("temporary", [True, False])
def test_a_restore_that_fails_leaves_no_cluster_beside_its_place(place, backup, target, monkeypatch, temporary):
    def full(self, *_):
        self.ctx.run("sh", "-c", "echo 'no space left on device' >&2; exit 1").check()

    monkeypatch.setattr(Restoring, "_configure", full)
    with pytest.raises((CommandFailed, StepFailed), match="no space left"):
        place.run("postgres.restore", service=target.service.name, temporary=temporary, **{"from": backup["location"]})
    assert not list(target.data.parent.glob("*drillbook*"))
    assert not target.data.exists()
