"""One Prometheus and one Alertmanager for all tests that query them."""

import pytest

from tests.systems.prometheus.watch import watching
from tests.systems.prometheus.watched import Watched


@pytest.fixture(scope="session")
def watch(tmp_path_factory):
    with watching(tmp_path_factory.mktemp("watch")) as found:
        yield found


@pytest.fixture
def bench(tmp_path, watch):
    return Watched(tmp_path, watch)
