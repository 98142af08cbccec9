"""The command that continues a campaign, and the projects that may use it."""

from datetime import UTC, datetime

import pytest

from drillbook.campaign import continuing
from drillbook.campaign.campaign_record import CampaignState, Intent
from drillbook.campaign.executor import LOCAL_CLUSTER
from drillbook.errors import UsageError
from drillbook.events.campaigns import CampaignStarted

OWN, OTHER = "01-0a@here:/project", "02-0b@there:/project"
RESUME = "invoke campaign --resume c"
TLS = "dask at tls://scheduler:8786"


def state(*controllers, at=OWN):
    start = CampaignStarted(campaign="c", drill="d", suite=False, rules={}, sites=(), operator="o")
    return CampaignState(start, datetime.now(UTC), list(controllers), intents={"s0": Intent("run", at)})


@pytest.mark.parametrize(
    ("controllers", "at", "command"),
    [
        ([("processes", OWN)], OWN, RESUME),
        ([("", "")], "", RESUME),
        ([(LOCAL_CLUSTER, OWN)], OWN, f"{RESUME} --on local"),
        ([(TLS, OWN)], OTHER, f"{RESUME} --on tls://scheduler:8786"),
        ([(TLS, OWN)], OWN, f"{RESUME} --on tls://scheduler:8786"),
        ([(TLS, OWN), ("processes", OWN)], OWN, RESUME),
        ([("", "")], OTHER, f"{RESUME} --on tls://SCHEDULER:PORT"),
    ],
    ids=["processes", "old", "cluster", "workers", "workers-here", "workers-before", "old-workers"],
)
def test_the_command_names_the_executor_of_the_newest_controller_and_is_not_refused(controllers, at, command):
    unfinished = state(*controllers, at=at)
    assert continuing.command(unfinished, OWN) == command
    continuing.refuse(unfinished, OWN, command.partition(" --on ")[2])
    where = f"; other machines started drills: {OTHER}" if at == OTHER else ""
    assert continuing.next_step(unfinished, OWN) == f"to continue: {command}{where}"


@pytest.mark.parametrize("controllers", [[("processes", OTHER)], [("processes", OTHER), (TLS, OWN)]])
def test_no_command_is_named_that_would_be_refused(controllers):
    unfinished = state(*controllers)
    told = continuing.next_step(unfinished, OWN)
    assert f"begun or resumed at {OTHER}, but this project is at {OWN}" in told
    assert "--resume" not in told
    with pytest.raises(UsageError, match=f"begun or resumed at {OTHER}"):
        continuing.refuse(unfinished, OWN, "tls://scheduler:8786")


def test_workers_elsewhere_are_named_with_the_command_when_a_resume_would_use_none():
    with pytest.raises(UsageError, match=OTHER) as refused:
        continuing.refuse(state((TLS, OWN), at=OTHER), OWN, "")
    assert f"{RESUME} --on tls://scheduler:8786" in refused.value.hint
