"""Clusters that live for one run: a file in the data directory says whose they are, so that no other is ever removed."""

from __future__ import annotations

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.sdk.action import Context
from drillbook.systems.postgres import cluster
from drillbook.systems.postgres.tools import Tools

MARKER = "drillbook.temporary"


def mark(tools: Tools, run_id: str) -> None:
    """Say in the data directory that the cluster is there for the run ``run_id``. Raises HostError."""
    cluster.write(tools, MARKER, run_id.encode())


def owner(tools: Tools) -> str:
    """The run that the cluster is there for; empty when it says nothing. Raises HostError."""
    script = 'test ! -f "$1" || cat -- "$1"'
    return tools.owned(("sh", "-c", script, "sh", f"{tools.service.data_directory}/{MARKER}")).check().text.strip()


def stop(ctx: Context, tools: Tools) -> None:
    """Stop its server, gently or else hard: it is removed next. Raises StepFailed, HostError."""
    try:
        cluster.stop(ctx, tools, "fast")
    except (StepFailed, CouldNotVerify, HostError):
        ctx.deadline.check()
    cluster.kill(tools)
