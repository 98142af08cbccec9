"""A cluster is lost as a whole or not at all, also when its controller dies on the way."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_futures
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import CommandFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Output
from drillbook.systems.postgres import removal
from drillbook.systems.postgres.programs import Tools
from tests.systems.postgres import fixtures

place, target = fixtures.place, fixtures.target


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


def test_a_cluster_is_lost_as_a_whole_although_nobody_listens(place, served):
    tools = replace(Tools.of(place.context(), served.service), host=Deaf(target=place.host.target))
    with pytest.raises((CommandFailed, ValueError)):
        removal.lose(tools)
    assert not served.data.exists(), "the server is dead and its cluster is there"


def test_a_server_that_was_killed_before_its_cluster_was_removed_is_started_again(place, served):
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


def test_a_cluster_of_which_something_is_removed_is_not_started(place, served):
    ctx, lose = place.context(), place.action("postgres.lose_data", service=served.service.name)
    served.kill()
    control = served.data / "global" / "pg_control"
    control.rename(control.with_name("pg_control.lost"))
    lose.interrupted(ctx)
    assert lose.untouched(ctx) is False
    assert not Path(f"/proc/{served.pid()}").exists()


def test_a_cluster_whose_removal_is_under_way_is_not_whole(place, served):
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
