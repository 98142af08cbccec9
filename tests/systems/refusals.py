"""Both outcomes of a check before a drill: it refuses while something is missing, and is content once that is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drillbook.errors import NotReady


def refused_until(check: Callable[[], object], said: str, mend: Callable[[], object]) -> None:
    """``check`` refuses with words that match ``said``, and with a hint; after ``mend`` it is content."""
    with pytest.raises(NotReady, match=said) as told:
        check()
    assert told.value.hint
    mend()
    check()
