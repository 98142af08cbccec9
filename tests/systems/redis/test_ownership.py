"""Servers that belong to another unit, folder or user."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.rdb_source import RdbSource
from tests.needs import need
from tests.systems.ground import is_root
from tests.systems.redis.unit import unit
from tests.systems.refusals import refused_until


@pytest.mark.skipif(not is_root(), reason="only root can run a server as another user")
def test_a_folder_that_the_server_may_not_write_is_told_before_its_keys_are_lost():
    need("sudo")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # only root can enter the folders of pytest
        Path(folder).chmod(0o755)
        with unit(Path(folder), user="nobody") as made:
            source = RdbSource(name="nightly", host="db-1", service="cache", at=folder, pattern="*.rdb")
            (Path(folder) / "nightly.rdb").write_bytes(b"REDIS0011")
            restore = source.in_place(made.context(), made.service)
            restore.ready()
            shutil.chown(made.data, "root")
            said = f"nobody has no right to replace the server's files in {made.data}; a restore replaces them"
            refused_until(restore.ready, said, lambda: shutil.chown(made.data, "nobody"))


def test_the_server_of_another_unit_at_the_port_is_left_alone(cache, saved, tmp_path_factory):
    """The inventory contains the port of one server and the unit of another on the same machine."""
    with unit(tmp_path_factory.mktemp("other")) as other:
        other.client().set("theirs", "1")
        cache.client().set("only:now", "1")
        ctx = cache.context()
        ctx.services["cache"] = cache.service.model_copy(update={"port": other.service.port})
        action = cache.action("redis.restore", **{"from": saved["location"]})
        refused_until(
            lambda: action.ready(replace(ctx, services=dict(ctx.services))),
            "does not belong to the unit cache",
            lambda: ctx.services.update(cache=cache.service),
        )
        ctx.services["cache"] = cache.service.model_copy(update={"port": other.service.port})
        pids = cache.ctl("pid", "cache"), other.ctl("pid", "cache")
        with pytest.raises(StepFailed, match="does not belong to the unit cache"):
            action.run(ctx)
        assert (cache.ctl("pid", "cache"), other.ctl("pid", "cache")) == pids, "nothing was stopped"
        assert (other.client().get("theirs"), cache.client().get("only:now")) == (b"1", b"1")


def test_the_server_of_another_folder_is_not_the_one_that_is_restored(cache, saved):
    """As when `host` is the wrong one of two similar machines: the process is not here."""
    from drillbook.systems.redis import ownership

    with connected(cache.context(), cache.service) as session:
        ownership.must_own(cache.context(), session, cache.service, str(cache.data))
        with pytest.raises(CouldNotVerify, match="is not the server that keeps its data in"):
            ownership.must_own(cache.context(), session, cache.service, str(cache.folder))
