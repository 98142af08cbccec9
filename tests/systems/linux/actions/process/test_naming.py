"""A step names exactly one process."""

import pytest

from drillbook.systems.linux.actions.process.faults import Kill, Limit, Pause


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (Pause, {}),
        (Pause, {"pid_file": "/a/b", "port": 5}),
        (Kill, {"port": 5}),
        (Limit, {"service": "app"}),
        (Limit, {"port": 5, "open_files": 8}),
        (Kill, {"service": "app", "signal": "STOP"}),
        (Pause, {"pid_file": "relative"}),
    ],
)
def test_what_cannot_be_meant_is_told_when_the_drill_is_read(kind, params):
    with pytest.raises(ValueError):
        kind.model_validate(params)
