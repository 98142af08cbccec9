"""Commands on this machine end when their process does, and not at the next look at it."""

from drillbook.hosts import LocalHost, local
from drillbook.sdk.host import Deadline


def test_a_command_that_has_ended_is_not_waited_for(monkeypatch):
    """Its end and that of its output may be noticed together."""
    monkeypatch.setattr(local, "TICK", 30.0)
    deadline = Deadline.after(20)
    for _ in range(50):
        assert LocalHost().run(("true",), deadline=deadline).ok
