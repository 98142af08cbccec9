"""Base of probes: samples in progress at once, and writers whose connection breaks."""

import pytest
from pydantic import ValidationError

from drillbook.sdk.probe import ConnectedWriter, Lost, find_probe


def test_samples_that_could_be_in_progress_at_once_are_limited():
    probe = find_probe("http.available")
    made = {"url": "http://127.0.0.1/", "every": "100ms"}
    assert probe.model_validate({**made, "timeout": "3s"}).timeout == 3
    with pytest.raises(ValidationError, match="31 are more than the maximum of 30"):
        probe.model_validate({**made, "timeout": "3100ms"})


class Writer(ConnectedWriter):
    """Writer whose connections and closings are recorded."""

    def __init__(self):
        super().__init__()
        self.told = []

    def connect(self, way):
        number = len(self.told)
        self.told.append(f"open {number}")
        way.callback(self.told.append, f"tunnel {number}")
        way.callback(self._broken)
        return number

    def _broken(self):
        raise ConnectionError("it is broken already")

    def write(self, number):
        session = self.session()
        if number == 2:
            self.close()
            return Lost("broken", doubt=True)
        self.told.append(f"row {number} by {session}")
        return None


def test_a_broken_connection_is_closed_with_its_tunnel_and_opened_again():
    writer = Writer()
    assert [writer.write(number) is None for number in (1, 2, 3)] == [True, False, True]
    assert writer.told == ["open 0", "row 1 by 0", "tunnel 0", "open 3", "row 3 by 3"]
    writer.close()
    writer.close()
    assert writer.told[-1] == "tunnel 3"
