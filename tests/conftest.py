"""What all tests share: a signing key of their own, so that none is made in the home of whoever runs them."""

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def config_home(tmp_path_factory):
    before = {name: os.environ.pop(name, None) for name in ("XDG_CONFIG_HOME", "DRILLBOOK_SIGNING_KEY")}
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    yield
    os.environ.pop("XDG_CONFIG_HOME")
    os.environ.update({name: value for name, value in before.items() if value is not None})
