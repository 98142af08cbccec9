"""A project without drills, and fleets whose workers give the answers of a test."""

import pytest

from tests.needs import library


@pytest.fixture
def root(tmp_path):
    (tmp_path / "drills").mkdir()
    return tmp_path


@pytest.fixture
def joined(root):
    """Make a fleet with a client."""
    library("distributed")
    from drillbook.campaign import fleet  # needs the library

    started = []

    def make(client, **more):
        started.append(fleet.Fleet(lambda: client, root, "dask", **more))
        return started[-1]

    yield make
    for one in started:
        one.close()
