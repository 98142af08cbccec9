"""Process that was started by hand, for each test."""

import pytest

from tests.systems.linux.processes import Served


@pytest.fixture
def served(ground):
    made = Served(ground)
    yield made
    made.end()
