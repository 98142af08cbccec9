"""Marks the temporary clusters of a run by a file in the data directory. The run removes only clusters with its mark."""

from __future__ import annotations

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.sdk.action import Context
from drillbook.systems.postgres import cluster, removal
from drillbook.systems.postgres.programs import Tools

MARKER = "drillbook.temporary"


def mark(tools: Tools, run_id: str) -> None:
    """Mark the cluster as temporary for the run ``run_id``. Raises HostError when the file cannot be written."""
    cluster.write(tools, MARKER, run_id.encode())


def owner(tools: Tools) -> str:
    """Return the ID of the run that made the temporary cluster, or an empty text for any other cluster.

    Raises HostError when the host cannot be used.
    """
    script = 'test ! -f "$1" || cat -- "$1"'
    return tools.owned(("sh", "-c", script, "sh", f"{tools.service.data_directory}/{MARKER}")).check().text.strip()


def stop(ctx: Context, tools: Tools) -> None:
    """Stop the server of a cluster that will be removed. If the server does not stop, kill it.

    Raises StepFailed when the data directory contains no cluster, and HostError when the host cannot be used.
    """
    try:
        cluster.stop(ctx, tools, "fast")
    except (StepFailed, CouldNotVerify, HostError):
        ctx.deadline.check()
    removal.kill(tools)
