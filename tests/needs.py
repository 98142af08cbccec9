"""Programs and modules that a test requires."""

import importlib
import os
import shutil
import subprocess
from typing import Any

import pytest


def need(tool: str) -> str:
    """Path of ``tool``. If it is missing, skip the test, or fail it with DRILLBOOK_REQUIRE=all, as in CI."""
    path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin:/usr/local/sbin")
    if path:
        return path
    reason = f"{tool} is not installed"
    if os.environ.get("DRILLBOOK_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)


def missing(reason: str) -> None:
    """Skip the test for ``reason``, or fail it with DRILLBOOK_REQUIRE=all, as in CI."""
    if os.environ.get("DRILLBOOK_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)


def library(name: str) -> Any:
    """Module ``name`` of an extra. If it is missing, skip the test, or fail it with DRILLBOOK_REQUIRE=all, as in CI."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"{name} is not installed")


def docker_engine() -> None:
    """Skip the test, or fail it in CI, when no Docker engine is available to this user."""
    need("docker")
    done = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        missing(f"no Docker engine answers: {done.stderr.strip()[-200:]}")
