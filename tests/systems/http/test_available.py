"""Probe http.available with a real server on loopback."""

import pytest

from drillbook.sdk.web import ask
from drillbook.systems.http.probes.http.available import Available
from drillbook.values import Duration


def test_available(server, drip):
    """Also for a server whose answer never ends."""
    assert Available(url=f"{server}/x/200").check(None) is None
    assert "status 500" in Available(url=f"{server}/x/500").check(None)
    assert "refused" in Available(url="http://127.0.0.1:9/").check(None)
    assert "no answer within" in Available(url=drip, timeout=Duration(0.5), every=Duration(0.1)).check(None)


def test_a_drip_ends_at_the_deadline(drip):
    with pytest.raises(TimeoutError):
        ask(drip, timeout=0.4)


@pytest.mark.parametrize("every", ["0s", "10ms"])
def test_a_probe_that_cannot_keep_its_rate_is_refused(every):
    with pytest.raises(ValueError):
        Available.model_validate({"url": "http://x", "every": every, "timeout": "2s"})
