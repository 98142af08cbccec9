"""Separate containers for a test, and the Docker lab, as in the tests of that lab."""

from tests.docker.conftest import box, engine, image, shared, site  # noqa: F401  fixtures
