"""Verifies the folder of a run, and prints the result to the terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from drillbook.attestation import anchor_comparison, anchor_places, run_verification
from drillbook.attestation.run_verification import Check, Mark, Verified
from drillbook.campaign import campaign_record
from drillbook.campaign.attempt import RECORD
from drillbook.cli.console import console, print_json
from drillbook.installation.program_name import as_called
from drillbook.journal.collection import last_work
from drillbook.journal.run_state import RunStates
from drillbook.project.project import Project
from drillbook.report.figures import count, one_line
from drillbook.report.terminal.prose import Prose

SHAPES = {Mark.GOOD: ("✓", "green"), Mark.UNKNOWN: ("?", "yellow"), Mark.WRONG: ("✕", "bold red")}
CLOSING = {
    Mark.GOOD: "verified: all examined files equal the signed content",
    Mark.UNKNOWN: "not verified: the checks marked ? could not confirm everything",
    Mark.WRONG: "WRONG: content was changed, or was signed by a key that is not allowed; see the checks marked ✕",
}


@last_work()
def verify(project: Project, run: str, *, as_json: bool = False) -> int:
    """Verify a run, a suite or a campaign. Returns 0 when all checks are good, 1 when a check found something wrong,
    and 3 when a check could not confirm everything.
    """
    campaign = campaign_record.folder_of(project.reports, run) if run else None
    if campaign and (campaign / RECORD).is_dir():
        return _told(run_verification.verify_campaign(campaign, campaign / RECORD, project.root), as_json=as_json)
    folder = project.run(run, suites=True, lost=True)
    runs = RunStates()
    verified = anchor_comparison.compared(
        run_verification.verify(folder, project.root, runs),
        folder,
        project.reports,
        anchor_places.places(project.reports),
        runs,
        asked=run,
    )
    return _told(verified, as_json=as_json)


def _told(verified: Verified, *, as_json: bool) -> int:
    if as_json:
        print_json(as_data(verified))
    else:
        show(verified, console())
    return run_verification.EXIT[verified.mark]


NAMES = {"ending": "run's end", "end": "last line"}
"""Names of checks in the terminal. In JSON, every check has the name that is the key."""


def as_data(verified: Verified) -> dict[str, Any]:
    """Results of all checks for JSON; each outcome is ``good``, ``unknown`` or ``wrong``."""
    return {
        "name": verified.name,
        "outcome": verified.mark.name.lower(),
        "exit": int(run_verification.EXIT[verified.mark]),
        "checks": [
            {
                "check": check.what,
                "outcome": check.mark.name.lower(),
                "message": as_called(check.said),
                "next": as_called(check.next),
            }
            for check in verified.checks
        ],
        "drills": [as_data(drill) for drill in verified.inner],
    }


def show(verified: Verified, out: Console) -> None:
    """Print every check of the verified folder. For the drills of a suite, print only the checks that are not good."""
    out.print(Text(verified.name, style="bold"), soft_wrap=True)
    for drill in verified.inner:
        mark, style = SHAPES[drill.mark]
        out.print(
            Text.assemble(f"  {mark} ", (f"{drill.name}  {count(len(drill.checks), 'check')}", "")),
            style=style,
            soft_wrap=True,
        )
        _table([check for check in drill.checks if check.mark is not Mark.GOOD], out, 6)
    _table(verified.checks, out, 2)
    mark, style = SHAPES[verified.mark]
    out.print(Text(f"{mark} {CLOSING[verified.mark]}", style=style))
    for command in dict.fromkeys(check.next for each in (verified, *verified.inner) for check in each.checks if check.next):
        out.print(Text(f"next: {as_called(command)}", style="bold"), soft_wrap=True)


def _table(checks: Sequence[Check], out: Console, indent: int) -> None:
    for check in checks:
        mark, style = SHAPES[check.mark]
        label = Text.assemble((mark, style), f" {NAMES.get(check.what, check.what).ljust(9)} ")
        out.print(Prose(Text(as_called(one_line(check.said))), indent, label=label))
