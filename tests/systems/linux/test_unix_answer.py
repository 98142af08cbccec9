"""Servers with only a Unix socket in the inventory, and no port: only the socket is checked."""

import contextlib
import socket

import pytest
from pydantic import ValidationError

from drillbook.errors import NotReady, PlanError, StepFailed
from drillbook.systems.linux.actions.net import Filters, Route
from drillbook.systems.linux.actions.network.reading import Capture
from drillbook.systems.linux.actions.port import Occupy, Owner
from drillbook.systems.linux.actions.tcp import Open
from drillbook.systems.linux.probes import Open as OpenProbe
from drillbook.systems.linux.service import Relay, Tcp
from drillbook.systems.mariadb.service import Mariadb
from drillbook.systems.postgres.service import Admin, Postgres
from drillbook.systems.redis.service import Redis
from drillbook.systems.units.actions.service import Answers
from tests.ports import free_port
from tests.systems.ground import Ground
from tests.systems.mariadb import site as mariadb
from tests.systems.postgres.site import Cluster, programs
from tests.systems.redis.alone import Alone


@contextlib.contextmanager
def serving_mariadb(folder):
    with mariadb.running(folder, "") as server:
        yield Mariadb(name="it", host="here", address=server.socket, user="root")


@contextlib.contextmanager
def serving_redis(folder):
    with Alone(folder):
        yield Redis(name="it", host="here", address=str(folder / "s"))


@contextlib.contextmanager
def serving_postgres(folder):
    service = Postgres(
        name="it",
        host="here",
        address=str(folder),
        port=free_port(),
        database="postgres",
        user="postgres",
        admin=Admin(user="postgres"),
        data_directory=str(folder / "data"),
        bin=str(programs(folder / "bin")),
    )
    cluster = Cluster(service)
    cluster.create()
    with (cluster.data / "postgresql.conf").open("a") as file:
        file.write("listen_addresses = ''\n")
    cluster.start()
    try:
        yield service
    finally:
        cluster.destroy()


@pytest.fixture(
    scope="module", params=[serving_mariadb, serving_redis, serving_postgres], ids=["mariadb", "redis", "postgres"]
)
def service(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("s")
    with request.param(folder) as found:
        yield found


@pytest.fixture
def here(tmp_path, service):
    return Ground(tmp_path, services={"it": service})


def test_the_server_answers_at_its_socket(here, service):
    facts = Route(to="it", service="it").run(here.ctx())
    assert (facts["reached"], facts["how"], facts["address"], facts["port"]) == (True, "answered", service.socket, None)
    facts = Answers(service="it").run(here.ctx())
    assert (facts["answers"], facts["address"], facts["port"]) == (True, service.socket, None)


def test_the_owner_of_the_socket_is_found(here, service):
    facts = Owner(service="it").run(here.ctx())
    assert (facts["at"], facts["port"], facts["listening"], len(facts["owners"])) == (service.socket, None, True, 1)


def test_a_stranger_at_the_usual_port_is_not_taken_for_the_server(here, service, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        fields = {"address": str(tmp_path / "none"), "port": stranger.getsockname()[1]}
        here.services["it"] = service.model_copy(update=fields)
        facts = Route(to="it", service="it").run(here.ctx())
        assert (facts["reached"], facts["how"]) == (False, "No such file or directory")
        assert Owner(service="it").run(here.ctx())["listening"] is False
        with pytest.raises(StepFailed, match="does not answer at /"):
            Answers(service="it").run(here.ctx())


def test_nothing_else_takes_its_port_from_the_inventory(here, service):
    for refused, action in (
        (NotReady, Occupy(service="it").ready),
        (NotReady, Capture(service="it", seconds="1s").ready),
        (PlanError, Filters(service="it", to="it").run),
        (PlanError, Filters(service="it", client="it").run),
    ):
        with pytest.raises(refused, match=f"Unix socket {service.socket}"):
            action(here.ctx())
    assert (service.listens, service.own_port) == (None, None)


@pytest.mark.parametrize("kind", [Open, OpenProbe, Tcp, Relay])
def test_a_socket_is_no_address_of_tcp(kind):
    fields = {"host": "here", "to": "it"} if kind is Relay else {"host": "here"} if kind is Tcp else {}
    with pytest.raises(
        ValidationError, match=r"a Unix socket and has no TCP port; to check a service of kind .*`service\.answers`"
    ):
        kind(address="/run/mysqld/mysqld.sock", port=3306, **fields)


def test_another_host_cannot_reach_the_socket(here, service):
    here.services["it"] = service.model_copy(update={"host": "there"})
    with pytest.raises(PlanError, match="only from its host there"):
        Route(to="it", service="it").run(here.ctx())


def test_a_socket_that_a_dead_server_left_is_refused(here, service, tmp_path):
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(tmp_path / "left"))
    # PostgreSQL and the others name a folder or the socket itself.
    left = service.model_copy(update={"address": str(tmp_path / "left")})
    if isinstance(service, Postgres):
        (tmp_path / "left").rename(tmp_path / f".s.PGSQL.{service.port}")
        left = service.model_copy(update={"address": str(tmp_path)})
    here.services["it"] = left
    facts = Route(to="it", service="it").run(here.ctx())
    assert (facts["reached"], facts["how"]) == (False, "refused")
