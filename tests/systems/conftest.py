"""Machine on which tests inject faults."""

import pytest

from tests.systems.ground import Ground


@pytest.fixture
def ground(tmp_path):
    made = Ground(tmp_path)
    yield made
    made.close()
