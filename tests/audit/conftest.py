"""Books of runs for the tests of the audit."""

from __future__ import annotations

import pytest

from tests.audit.stories import Book


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path)
