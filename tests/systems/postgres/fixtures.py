"""One site for each test module, with a primary that contains the rich database, and one backup of it."""

import itertools

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
