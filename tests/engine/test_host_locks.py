"""Hosts of a plan that need a lease, and the state of the locks and the lease of a run on one host."""

import pytest

from drillbook.engine import locks_and_leases
from drillbook.engine.host_locks import Grip, leases, renewal_pause
from tests.engine.test_locks_and_leases import TEXT
from tests.machine.small import Small


def test_only_hosts_of_what_may_be_armed_need_a_lease(tmp_path):
    small = Small(tmp_path)
    assert leases(small.plan(TEXT)) == [("a", None), ("b", None)]
    assert leases(small.plan(TEXT.replace("[a, b]", "b"))) == [("b", None)]
    assert leases(small.plan("restore:\n  - command.run: {argv: [look], effect: read}\n    hosts: a\n")) == []
    made = small.plan(TEXT)
    lost = [step.model_copy(update={"restore_only": True}) for step in made.steps]
    assert leases(made.model_copy(update={"steps": tuple(lost)})) == [], "a restore is nothing that a target can do"


@pytest.mark.parametrize(
    ("lease_s", "hosts", "pause"),
    [(30, 1, 5), (30, 250, 5), (30, 300, 6), (30, 5000, 7.5), (12, 1, 2), (12, 400, 3), (1, 1, 0.3), (600, 9, 5)],
)
def test_many_hosts_are_renewed_less_often_but_four_times_a_lease(lease_s, hosts, pause):
    assert renewal_pause(lease_s, locks_and_leases.RENEWALS, hosts) == pytest.approx(max(pause, 0.3), abs=0.05)


def test_a_lock_that_another_run_took_over_is_told_once_and_one_that_was_given_back_never():
    grip = Grip("a", tokens={"one": 1, "two": 2})
    lost = grip.taken_over_now(["one", "gone"], {"one": "the service app"})
    assert lost is not None
    assert (lost.names, lost.message) == (("one",), "the lock of the service app on a now belongs to another run")
    assert grip.lost == lost.message
    assert grip.taken_over_now(["one"], {}) is None
    later = grip.taken_over_now(["one", "two"], {})
    assert later is not None
    assert later.names == ("two",)
    assert grip.lost == lost.message, "the first loss is the reason"
