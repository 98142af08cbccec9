"""Sessions that are ended, and those that stay."""

import re
import subprocess
from pathlib import Path

from drillbook.systems.postgres.actions.faults.sessions import REFUSAL
from drillbook.systems.postgres.programs import Tools
from tests.ports import free_port
from tests.systems.ground import PLAIN
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import connects, sessions, undo
from tests.waiting import until

place, small = fixtures.place, fixtures.small


def psql(path, service):
    """Arguments in the form of the fault's clients."""
    return [path, "-X", "-w", "-h", service.address, "-p", str(service.port), "-U", "clerk", "-d", service.database]


def asking(small, name="waits"):
    return {**PLAIN, "PGPASSWORD": small.service.password.reveal(), "PGAPPNAME": name, "LC_ALL": "C"}


def test_those_of_one_application_are_ended_and_no_others(place, small):
    ctx = place.context(step="inject.1")
    fault = place.action("postgres.hold_connections", service="small", leave=4, **{"for": "2m"})
    with small.connect(user="clerk") as other:
        try:
            facts = fault.run(ctx)
            assert connects(small) is True
            ended = place.run("postgres.terminate", service="small", application=facts["application"])
            assert ended["terminated"] == facts["held"] > 0
            assert ended["applications"] == [facts["application"]]
            until(lambda: fault.active(ctx) is False)
        finally:
            undo(fault, ctx)
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert place.run("postgres.terminate", service="small", application=facts["application"])["terminated"] == 0


def test_a_session_that_was_terminated_does_not_count_as_refused(place, small):
    """Otherwise the fault would replace it, and last until the end of the fault's own time limit."""
    tools = Path(Tools.of(place.context(), small.service, place.context().host).path("psql"))
    waiting = subprocess.Popen(
        [*psql(tools, small.service), "--command=SELECT pg_sleep(60)"], env=asking(small), stderr=subprocess.PIPE, text=True
    )
    until(lambda: sessions(small, "waits") == 1)
    place.run("postgres.terminate", service="small", application="waits")
    _, said = waiting.communicate(timeout=60)
    assert "connection to server was lost" in said
    assert re.findall(REFUSAL, said) == []
    two = small.service.model_copy(update={"address": "127.0.0.1,127.0.0.1", "port": free_port()})
    refused = subprocess.run(psql(tools, two), env=asking(small), stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert refused.stderr.count("connection to server") == 2, "one line for each address"
    assert len(re.findall(REFUSAL, refused.stderr)) == 1
