"""Looking whether a drill could run now: hosts, probes and every step's own check. Reads only, and leaves no run behind."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook import conduct
from drillbook.findings import Finding
from drillbook.holding import Hold
from drillbook.hosting import Hosts
from drillbook.journal import Journal, Observer, read
from drillbook.leases import Owner
from drillbook.liveness import controller
from drillbook.plan import Plan
from drillbook.result import EXIT, Verdict
from drillbook.runner import Runner
from drillbook.steps import Stage
from drillbook.stopping import Stop


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found; ``message`` is empty when the drill could begin."""

    message: str
    findings: tuple[dict[str, Any], ...]
    exit: int = 0
    """Exit status that a run would have had."""

    @property
    def ready(self) -> bool:
        """Could the drill begin?"""
        return not self.message


def check(one: Plan, observer: Observer, refusals: Sequence[Finding] = ()) -> Check:
    """Check ``one`` on its hosts; ``observer`` sees the events. Raises SecretError, UsageError.

    ``refusals`` are the reasons against it that were found without asking a host.
    """
    redactor = conduct.redactor_for(one)
    with tempfile.TemporaryDirectory(prefix="drillbook-check-") as name:
        folder = Path(name)
        journal = Journal(folder, redactor, origin=time.monotonic(), observer=observer)
        hosts = Hosts(lambda host: conduct.connect(one.inventory, host))
        who, now = conduct.operator(), datetime.now(UTC).isoformat(timespec="seconds")
        run = {"id": conduct.new_run_id(one.drill), "started": now, "operator": who}
        try:
            journal.append("check.started", {"drill": one.drill})
            owner = Owner(run=run["id"], operator=who, controller=controller(), drill=one.drill)
            hold = Hold(one, journal, hosts.get, owner, Stop())
            stage = Stage(one, journal, hosts.get, folder, run, redactor, hold=hold)
            Runner(stage, hosts.open, conduct.header(who), refusals=refusals).check()
        finally:
            hosts.close()
            journal.close()
        events = read(journal.path).events
    ended = [event.data for event in events if event.kind == "ended.early"]
    if not ended:
        return Check("", ())
    failed = [found for event in events if event.kind == "failed" for found in event.data["findings"]]
    verdict = Verdict.NOT_RUN if ended[0]["why"] == Verdict.NOT_RUN else Verdict.REFUSED
    return Check(ended[0]["message"], (*failed, *ended[0]["findings"]), EXIT[verdict])
