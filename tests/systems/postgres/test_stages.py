"""Durations of the stages of a long action."""

import pytest

from drillbook.systems.postgres.stages import Stages


def test_each_stage_has_a_duration_and_a_result():
    stages = Stages()
    assert stages.timed("dump", lambda: 42) == 42
    with stages.time("upload"):
        assert "upload" not in stages.seconds
    assert set(stages.seconds) == {"dump", "upload"}
    assert all(0 <= seconds < 5 for seconds in stages.seconds.values())


def test_a_stage_that_fails_has_a_duration_too():
    stages = Stages()
    with pytest.raises(LookupError), stages.time("load"):
        raise LookupError
    assert list(stages.seconds) == ["load"]
