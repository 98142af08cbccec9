"""Hosts that an inventory describes."""

import pytest

from drillbook.errors import (
    UsageError,
)
from drillbook.hosts import open_host
from drillbook.sdk.host import Target


def test_gateways_that_make_no_sense():
    a, b = Target(name="a", gateway="b"), Target(name="b", gateway="a")
    for target, targets, words in (
        (a, {"a": a, "b": b}, "cycle"),
        (a, {}, "not a host"),
        (a, {"b": Target(name="b", local=True)}, "this machine"),
    ):
        with pytest.raises(UsageError, match=words):
            open_host(target, targets=targets)
