"""Both outcomes of a check before a drill: it refuses while something is missing, and passes as soon as it exists."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drillbook.errors import NotReady


def refused_until(check: Callable[[], object], said: str, mend: Callable[[], object]) -> None:
    """Assert that ``check`` refuses with a message that matches ``said`` and with a hint, and that it passes after
    ``mend``.
    """
    with pytest.raises(NotReady, match=said) as told:
        check()
    assert told.value.hint
    mend()
    check()
