"""One server for all tests of this folder; each test resets its changes."""

import pytest

from tests.systems.mariadb import site


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with site.running(tmp_path_factory.mktemp("mariadb")) as found:
        yield found


@pytest.fixture(scope="module")
def copies(server, tmp_path_factory):
    """Restored copy for the tests of a file, which damage it and restore its content."""
    root = tmp_path_factory.mktemp("copies")
    (root / "dumps").mkdir()
    (root / "dumps" / "shop.sql").write_bytes(server.dump("--single-transaction", "--routines", "--events", "shop"))
    place = site.estate(root, server, {"kind": "mariadb_dump", "at": str(root / "dumps")})
    place.restore("nightly", "copy")
    yield place
    place.remove("nightly", "copy")
