"""One store for all tests of this folder, and a bucket for each test."""

import pytest

from tests.systems.postgres.site import site
from tests.systems.s3.live import make


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    with site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(params=["Enabled", ""], ids=["versioned", "plain"])
def bucket(place, request):
    yield from make(place, request.param)


@pytest.fixture
def versioned(place):
    yield from make(place, "Enabled")


@pytest.fixture
def plain(place):
    yield from make(place, "")
