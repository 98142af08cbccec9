"""New clusters and their servers: on disk, ended, or not started at all."""

from __future__ import annotations

import shutil
from concurrent.futures import Future

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.postgres import cluster
from drillbook.systems.postgres.programs import Tools
from tests.systems.postgres import fixtures

place, target = fixtures.place, fixtures.target


SHOP = ("--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions")


def test_a_new_cluster_knows_until_it_is_on_disk(place, target):
    """A controller that died before the cluster was flushed to disk: the next run flushes it."""
    tools = Tools.of(place.context(), target.service, place.host)
    cluster.create(tools, SHOP)
    assert (target.data / cluster.UNSYNCED).exists()
    cluster.sync(tools)
    assert not (target.data / cluster.UNSYNCED).exists()


def test_a_server_that_was_started_and_ended_is_waited_for_no_longer(place, target):
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


def test_a_server_that_does_not_start_tells_its_log(place, target):
    target.create()
    with (target.data / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = 'many'\n")
    with pytest.raises(StepFailed) as failure:
        cluster.start(place.context(), Tools.of(place.context(), target.service))
    assert 'invalid value for parameter "shared_buffers": "many"' in failure.value.message
    assert "no server running" not in failure.value.message
    [found] = failure.value.findings
    assert "drillbook.log" in found.remedy
    assert "unit" not in found.remedy
