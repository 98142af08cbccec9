"""A controller that is killed between any two statements: running the same action again completes it."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_futures
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import CommandFailed, CouldNotVerify, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.action import find
from drillbook.sdk.host import Output
from drillbook.systems.postgres import cluster, removal
from drillbook.systems.postgres.access import provisional_name
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


def test_another_run_does_not_take_an_open_database_for_its_own(place, backup, restored):
    with pytest.raises(StepFailed, match="exists already"):
        place.run("postgres.restore", ctx=place.context(step="restore.1"), service="spare", **{"from": backup["location"]})


def test_what_another_run_restored_and_keeps_closed_is_not_dropped(place, backup, restored):
    fields = {"service": "spare", "from": backup["location"], "closed": True}
    restored.sql("DROP DATABASE IF EXISTS shop WITH (FORCE)", database="postgres")
    first = place.context(step="restore.1")
    place.run("postgres.restore", ctx=first, **fields)
    number = "SELECT oid FROM pg_database WHERE datname = 'shop'"
    before = restored.sql(number)
    with pytest.raises(StepFailed, match=f"drill.recover {first.run_id}"):
        place.run("postgres.restore", ctx=place.context(step="restore.1"), **fields)
    assert restored.sql(number) == before
    place.run("postgres.restore", ctx=first, **fields)
    assert restored.sql(number) == before, "it is whole: the same step has nothing more to do"
    assert place.run("postgres.clear_restore", ctx=first, service="spare") == {"discarded": [], "opened": True}


def test_half_a_database_that_the_server_refuses_to_drop_is_told_as_it_is(place, restored):
    ctx = place.context(step="restore.1")
    half = provisional_name("shop", ctx.run_id)
    restored.sql(f'CREATE DATABASE "{half}" IS_TEMPLATE true', database="postgres")
    try:
        with pytest.raises(CouldNotVerify) as failure:
            place.run("postgres.clear_restore", ctx=ctx, service="spare")
    finally:
        restored.sql(f'ALTER DATABASE "{half}" IS_TEMPLATE false', database="postgres")
        restored.sql(f'DROP DATABASE "{half}"', database="postgres")
    assert failure.value.message.startswith("spare: an unfinished restore could not be found or cleared: ")
    assert "template" in failure.value.message
    assert failure.value.hint.startswith("if its server is down, start it; then recover the run: ")


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


@pytest.mark.parametrize("name", ["dpa", "x" * 63, "数据库" * 7, 'we"ird'])
def test_a_provisional_name_fits(primary, name):
    found = provisional_name(name, "20261127-101010-postgres-lost-ab12")
    primary.sql('CREATE DATABASE "{}"'.format(found.replace('"', '""')))
    try:
        assert found in databases(primary), "the server cut nothing off"
    finally:
        primary.sql('DROP DATABASE "{}"'.format(found.replace('"', '""')))


def test_a_new_cluster_knows_until_it_is_on_disk(place, backup, target):
    """A controller that died before the cluster was flushed to disk: the next run flushes it."""
    tools = Tools.of(place.context(), target.service, place.host)
    cluster.create(tools, SHOP)
    assert (target.data / cluster.UNSYNCED).exists()
    cluster.sync(tools)
    assert not (target.data / cluster.UNSYNCED).exists()


def test_a_server_that_was_started_and_ended_is_waited_for_no_longer(place, backup, target):
    """The server was killed during its recovery: it accepts no write, and the step may take an hour."""
    tools = Tools.of(place.context(), target.service, place.host)
    shutil.rmtree(target.data, ignore_errors=True)
    cluster.create(tools, SHOP)
    target.start()
    target.kill()
    started = Future()
    started.set_result(None)
    with pytest.raises(StepFailed, match="was started but has exited since"):
        cluster.await_writable(place.context(seconds=40), tools, started)


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


@pytest.fixture
def served(target):
    """Server with the database of its service."""
    target.create()
    target.start()
    target.sql("CREATE DATABASE shop", database="postgres")
    return target


class Deaf(LocalHost):
    """Host whose controller is dead: nothing reads the output of its commands."""

    def run(self, argv, **options):
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            child.stdout.close()
        return Output(self.name, tuple(argv), child.wait(), None, b"", b"", 0.0, 0, 0)


def test_a_cluster_is_lost_as_a_whole_although_nobody_listens(place, primary, served):
    tools = replace(Tools.of(place.context(), served.service), host=Deaf(target=place.host.target))
    with pytest.raises((CommandFailed, ValueError)):
        removal.lose(tools)
    assert not served.data.exists(), "the server is dead and its cluster is there"


def test_a_server_that_was_killed_before_its_cluster_was_removed_is_started_again(place, primary, served):
    ctx, lose = place.context(), place.action("postgres.lose_data", service=served.service.name)
    served.sql("CREATE TABLE kept AS SELECT 1 AS a")
    lose.interrupted(ctx)
    pid = served.pid()
    assert lose.untouched(ctx) is True
    served.kill()
    assert lose.untouched(ctx) is False
    lose.interrupted(ctx)
    assert lose.untouched(ctx) is True
    assert served.sql("SELECT a FROM kept") == [(1,)]
    assert served.pid() != pid


def test_a_cluster_of_which_something_is_removed_is_not_started(place, primary, served):
    ctx, lose = place.context(), place.action("postgres.lose_data", service=served.service.name)
    served.kill()
    control = served.data / "global" / "pg_control"
    control.rename(control.with_name("pg_control.lost"))
    lose.interrupted(ctx)
    assert lose.untouched(ctx) is False
    assert not Path(f"/proc/{served.pid()}").exists()


def test_a_cluster_whose_removal_is_under_way_is_not_whole(place, primary, served):
    """A command of the dead controller still runs on the host: it has killed the server, or will do so."""
    ctx, lose = place.context(), place.action("postgres.lose_data", service=served.service.name)
    wait = [
        "sh",
        "-c",
        'read go; mv -- "$1" "$1.drillbook-$2"; rm -r -- "$1.drillbook-$2"',
        "sh",
        str(served.data),
        "gone-~1a2b",
    ]
    with subprocess.Popen(wait, stdin=subprocess.PIPE) as removal_of_another:
        try:
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(lose.untouched, ctx)
                assert not wait_futures([asked], timeout=1).done, "it waits for the end of the removal"
                removal_of_another.communicate(b"go\n", timeout=30)
                assert asked.result(30) is False
        finally:
            removal_of_another.kill()
    assert not served.data.exists()
