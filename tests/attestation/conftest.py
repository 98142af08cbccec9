"""Signed and anchored runs, prepared as in the tests of the audit."""

from tests.audit.conftest import audit, bench  # noqa: F401  fixtures
