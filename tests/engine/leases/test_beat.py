"""Renewal of all locks and leases of a host in one call, and the list of them."""

from drillbook.engine.leases import Lock, beat, listed
from tests.engine.leases.conftest import owner, soon


def test_beat_tells_every_loss(here):
    token = Lock(here, "api", 5).take(owner(), deadline=soon()).token
    found = beat(here, {"api": token, "db 1": 7}, "run-1", deadline=soon())
    assert (found.stop, found.fenced, found.lapsed) == ("", ("db 1",), True)
    Lock(here, "api", 5).release(token, deadline=soon())
    found = beat(here, {"api": token, "db 1": 7}, "run-1", deadline=soon())
    assert (found.fenced, found.lapsed) == (("api", "db 1"), True)


def test_a_request_to_stop_comes_with_the_renewal(here):
    lock = Lock(here, "api", 5)
    token = lock.take(owner(), deadline=soon()).token
    assert beat(here, {"api": token}, None, deadline=soon()).stop == ""
    lock.request_stop("bob", deadline=soon())
    answer = beat(here, {"api": token}, None, deadline=soon())
    assert (answer.stop.startswith("bob"), answer.fenced, answer.lapsed) == (True, (), False)


def test_locks_of_any_name_are_listed_until_they_are_released(here):
    assert listed(here, deadline=soon()).locks == ()
    held = {name: Lock(here, name, 5) for name in ("api", ".hidden", "a/b c", "ü")}
    tokens = {name: lock.take(owner(), deadline=soon()).token for name, lock in held.items()}
    assert set(listed(here, deadline=soon()).locks) == set(held)
    for name, lock in held.items():
        lock.release(tokens[name], deadline=soon())
    assert listed(here, deadline=soon()).locks == ()
