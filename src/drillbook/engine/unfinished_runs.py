"""Finding that an earlier run is unfinished, because its controller died or it left changes."""

from __future__ import annotations

from drillbook.findings import Finding, finding


def refusal(run: str, measured: str, remedy: str = "") -> Finding:
    """Return the finding about ``run``, because of which a drill cannot begin. ``remedy``: next step; by default, it is to recover
    the run."""
    return finding(
        "unfinished-run",
        title=run,
        wanted="no earlier run that died or left changes",
        measured=measured,
        remedy=remedy or f"Recover that run first: invoke drill.recover {run}",
    )
