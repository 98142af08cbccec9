"""Runs that were signed and anchored, as the tests of the audit have them."""

from tests.audit.conftest import audit, bench  # noqa: F401  fixtures
