"""Server at an address: the data directory that it uses, and the other servers that a drill would change with it."""

import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.systems.mariadb import ownership
from drillbook.systems.mariadb.client import connected
from tests.systems.mariadb import site
from tests.systems.refusals import refused_until

FOLLOW = (
    "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='clerk', MASTER_CONNECT_RETRY=60; START SLAVE;"
)


@pytest.fixture
def place(server, tmp_path):
    return site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})


def service(place, **fields):
    return place.inventory.services["database"].model_copy(update=fields)


def test_a_server_owns_the_folder_that_it_has_open(server, place, tmp_path):
    for data in ("", str(server.data), f"{server.data}/"):
        ownership.ready(place.ctx(), service(place, data_directory=data))
    (tmp_path / "beside").mkdir()
    for data in (str(server.folder), str(tmp_path / "beside"), f"{server.data}x"):
        with pytest.raises(NotReady, match=f"is not the server that uses {data} on this host") as told:
            ownership.ready(place.ctx(), service(place, data_directory=data))
        assert "data_directory" in told.value.hint


def test_a_server_that_answers_is_told_from_one_that_does_not(place, tmp_path):
    assert ownership.answers(place.ctx(), service(place)) is True
    assert ownership.answers(place.ctx(), service(place, address=f"{tmp_path}/none")) is False
    with pytest.raises(NotReady, match="database could not be read"):
        ownership.ready(place.ctx(), service(place, address=f"{tmp_path}/none"))


def test_a_server_that_follows_another_one_is_refused(server, place):
    """Its databases belong to the other server too."""
    server.sql(FOLLOW)
    try:
        said = "database takes part in replication, and a drill would change the other servers too"
        refused_until(
            lambda: ownership.ready(place.ctx(), service(place)), said, lambda: server.sql("STOP SLAVE; RESET SLAVE ALL")
        )
    finally:
        server.sql("STOP SLAVE; RESET SLAVE ALL")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"galera": "ON"}, "is a node of a Galera cluster"),
        ({"followers": "1"}, "takes part in replication"),
        ({"following": "2"}, "takes part in replication"),
    ],
)
def test_a_state_with_other_servers_is_refused(place, state, said):
    class Stated:
        """Client of a server in this state, of which a test would need several machines."""

        def __init__(self, client):
            self.client = client

        def rows(self, sql):
            (row,) = self.client.rows(sql)
            assert set(state) <= set(row)
            return [row | state]

    ctx = place.ctx()
    with connected(ctx, service(place)) as client, pytest.raises(CouldNotVerify, match=said):
        ownership.must_own(ctx, service(place), Stated(client))
