import os
import shutil
import time
from pathlib import Path

import pytest

from drillbook.engine.leases import Owner
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Deadline, LeaseConfig, Target
from tests.hosts.conftest import asyncssh_server, openssh  # noqa: F401  the servers are fixtures here too

PATIENCE = 60


def soon(seconds=PATIENCE):
    return Deadline.after(seconds)


def until(condition, what="the condition"):
    """Wait until ``condition()`` is true. Return its value."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {PATIENCE} s")


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def owner(run="run-1"):
    return Owner(run=run, operator="ann", controller="desk", drill="postgres-lost")


@pytest.fixture
def scratch(tmp_path):
    path = tmp_path / "it's scratch"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)  # without its folder a watcher ends, also after a failed test


@pytest.fixture
def here(scratch):
    """This machine as a target."""
    return LocalHost(target=Target(name="here", local=True, scratch=str(scratch), lease=LeaseConfig(boot="none")))


SHELLS = [("dash",), ("busybox", "sh"), ("bash",)]


@pytest.fixture(params=[words for words in SHELLS if shutil.which(words[0])], ids=lambda words: words[0])
def any_shell(request, tmp_path, monkeypatch):
    """`sh` is this shell, for the commands of ``here`` and all their child processes."""
    folder = tmp_path / "shell"
    folder.mkdir()
    program = folder / "sh"
    program.write_text(f'#!/bin/sh\nexec {shutil.which(request.param[0])} {" ".join(request.param[1:])} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return request.param
