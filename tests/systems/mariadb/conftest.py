"""One server for all tests of this folder; each test resets its changes."""

import pytest

from tests.systems.mariadb import site


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with site.running(tmp_path_factory.mktemp("mariadb")) as found:
        yield found
