"""One site for each test module, with a primary that contains the rich database, and one backup of it."""

from __future__ import annotations

import itertools
import shutil

import pytest

from tests.systems.postgres import rich
from tests.systems.postgres.site import BUCKET, Cluster, Site, site

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with site(folder) as made:
        yield made


@pytest.fixture(scope="module")
def primary(place: Site) -> Cluster:
    cluster = place.place("primary")
    cluster.create()
    cluster.start()
    rich.fill(cluster)
    return cluster


@pytest.fixture(scope="module")
def backup(place: Site, primary: Cluster):
    """Facts of a backup of the rich database."""
    return place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/rich")


@pytest.fixture(scope="module")
def restored(place: Site, backup) -> Cluster:
    """Second cluster, restored from the backup. A test that changes it restores it."""
    cluster = place.place("spare")
    place.run("postgres.restore", service="spare", **{"from": backup["location"]})
    return cluster


@pytest.fixture
def target(place: Site):
    """An empty place for a cluster."""
    name = f"target-{next(NUMBERS)}"
    yield place.place(name)
    place.clusters.pop(name).destroy()


@pytest.fixture(scope="module")
def small(place: Site):
    """Server with few connections, and a table with an index. Nothing is in it but that."""
    cluster = place.place("small")
    cluster.create()
    with (cluster.data / "postgresql.conf").open("a") as file:
        file.write("max_connections = 14\nsuperuser_reserved_connections = 3\n")
    cluster.start()
    cluster.sql("CREATE ROLE clerk LOGIN PASSWORD 'clerk'", "CREATE DATABASE shop OWNER clerk", database="postgres")
    password = cluster.service.password.reveal().replace("'", "''")
    cluster.sql(
        f"ALTER ROLE clerk PASSWORD '{password}'",
        "CREATE TABLE goods (id int PRIMARY KEY, code text, shelf int)",
        "INSERT INTO goods SELECT g, md5(g::text), g % 50 FROM generate_series(1, 20000) AS g",
        "CREATE INDEX goods_code ON goods (code)",
        "ALTER TABLE goods OWNER TO clerk",
        "SELECT pg_stat_force_next_flush()",  # otherwise the rows would be counted again after ANALYZE
        "ANALYZE goods",
    )
    yield cluster
    cluster.destroy()


@pytest.fixture
def foreign(place):
    """Foreign cluster with the same superuser, running and empty."""
    made = place.place("foreign")
    made.create()
    made.start()
    yield made
    place.clusters.pop("foreign").destroy()
    shutil.rmtree(made.data.parent)
