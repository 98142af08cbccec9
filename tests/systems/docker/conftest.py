"""Containers of a test's own and the Docker lab, as the tests of that lab have them."""

from tests.docker.conftest import box, engine, image, shared, site  # noqa: F401  fixtures
