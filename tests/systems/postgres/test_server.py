"""Faults of a whole server: it is stopped, or loses its data directory, and nothing else is lost."""

import os
import shutil
import signal
import subprocess
from dataclasses import replace

import pytest

from drillbook.errors import CommandFailed, CouldNotVerify, NotReady, StepFailed
from tests.needs import need
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET
from tests.systems.refusals import refused_until

place, primary, target = fixtures.place, fixtures.primary, fixtures.target


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_stopping_and_starting_again(place, primary, mode):
    ctx = place.context()
    stop = place.action("postgres.stop", service="primary", mode=mode)
    stop.ready(ctx)
    assert stop.active(ctx) is False
    undo = stop.undo(ctx)
    stop.run(ctx)
    assert stop.active(ctx) is True
    with pytest.raises(StepFailed, match="ALTER DATABASE"):
        place.run("postgres.admit", service="primary")
    for _ in range(2):
        for command in undo.commands:
            place.host.run(command, deadline=ctx.deadline).check()
    assert stop.active(ctx) is False


def covered(place):
    """Context of a step whose drill verifies a backup of the whole cluster."""
    return replace(place.context(), proofs=frozenset({"postgres.base_intact"}))


def test_a_cluster_with_a_database_that_no_dump_covers_is_not_lost(place, primary, target):
    target.create()
    target.start()
    target.sql("CREATE DATABASE shop", "CREATE DATABASE ledger", database="postgres")
    lose = place.action("postgres.lose_data", service=target.service.name)
    with pytest.raises(NotReady, match="also contains ledger, which a dump of shop cannot restore"):
        lose.ready(place.context())
    with pytest.raises(StepFailed, match=r"also contains ledger.*nothing was lost"):
        lose.run(place.context())
    lose.ready(covered(place))
    assert target.sql("SELECT 1", database="ledger") == [(1,)]
    target.sql("DROP DATABASE ledger", database="postgres")
    lose.ready(place.context())
    target.kill()
    with pytest.raises(NotReady, match="cannot be queried for its databases"):
        lose.ready(place.context())
    with pytest.raises(StepFailed, match=r"cannot be queried for its databases.*nothing was lost"):
        lose.run(place.context())
    assert target.data.exists()


def test_losing_data_refuses_what_is_no_data_directory(place, target):
    for path in ("/", "/home", "/var/../etc/x"):
        place.extra["other"] = target.service.model_copy(update={"data_directory": path})
        with pytest.raises(StepFailed, match=r"nothing was removed|not (be )?removed|not the data directory"):
            place.run("postgres.lose_data", service="other", ctx=covered(place))
    target.data.mkdir()
    (target.data / "thesis.txt").write_text("years of work")
    with pytest.raises(StepFailed, match="not the data directory"):
        place.run("postgres.lose_data", service=target.service.name, ctx=covered(place))
    lose, kept = place.action("postgres.lose_data", service=target.service.name), target.data.with_name("kept")

    def move_and_create():
        target.data.rename(kept)
        target.create()
        target.start()

    refused_until(lambda: lose.ready(covered(place)), "is not the data directory of a cluster", move_and_create)
    assert (kept / "thesis.txt").exists()


@pytest.mark.parametrize("name", ["postgres.lose_data", "postgres.recover"])
def test_a_data_directory_that_cannot_be_looked_at_is_told_before(place, primary, name):
    fields = {} if name == "postgres.lose_data" else {"from": f"s3://{BUCKET}/x"}
    place.extra["other"] = primary.service.model_copy(update={"run_as": "nobody-there"})
    action = place.action(name, service="other", **fields)
    refused_until(
        lambda: action.ready(covered(place)),
        "db-1: cannot examine .*nobody-there",
        lambda: place.extra.update(other=primary.service),
    )


def test_a_cluster_whose_server_is_dead_is_neither_lost_nor_untouched(place, primary, target):
    """As when the host dies between the two steps: the data exists, and no server runs."""
    target.create()
    target.start()
    target.sql("CREATE DATABASE shop", database="postgres")
    ctx = place.context()
    lose = place.action("postgres.lose_data", service=target.service.name)
    assert (lose.active(ctx), lose.untouched(ctx)) == (False, True)
    target.kill()
    assert lose.untouched(ctx) is False
    with pytest.raises(CouldNotVerify, match=r"is in the state `cluster`, but target-.* does not answer"):
        lose.active(ctx)
    target.start()
    assert (lose.active(ctx), lose.untouched(ctx)) == (False, True)


def test_half_a_data_directory_is_never_started_and_never_untouched(place, primary, target):
    """Data directory that cannot be moved, because it is a link, and that contains a file which cannot be deleted."""
    if os.geteuid() != 0:
        pytest.skip("only root makes files immutable")
    need("chattr")
    real = target.data.with_name("elsewhere")
    real.mkdir()
    subprocess.run(["chown", "--reference", str(target.data.parent), str(real)], check=True)
    target.data.symlink_to(real)
    target.create()
    target.start()
    fixed = real / "pg_xact" / "0000"
    if subprocess.run(["chattr", "+i", str(fixed)], check=False, capture_output=True).returncode:
        pytest.skip("this file system knows no immutable files")
    ctx = place.context()
    lose = place.action("postgres.lose_data", service=target.service.name)
    try:
        with pytest.raises(CommandFailed, match="status 6"):
            lose.run(ctx)
        assert lose.untouched(ctx) is False
        with pytest.raises(CouldNotVerify):
            lose.active(ctx)
        with pytest.raises(subprocess.CalledProcessError):
            target.start()
    finally:
        subprocess.run(["chattr", "-i", str(fixed)], check=True)
        target.data.unlink()
        shutil.rmtree(real)


def test_losing_data_spares_another_process_with_the_old_pid(place, primary, target):
    """A stale postmaster.pid contains the pid of an unrelated process."""
    target.create()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (target.data / "postmaster.pid").write_text(f"{bystander.pid}\n{target.data}\n")
        facts = place.run("postgres.lose_data", service=target.service.name, ctx=covered(place))
        assert facts["pid"] is None
        assert bystander.poll() is None
        os.kill(bystander.pid, signal.SIGKILL)
    assert not target.data.exists()
