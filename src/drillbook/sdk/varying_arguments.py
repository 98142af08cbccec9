"""Parts of a command's arguments that differ in every run. A rule of sudo must allow every value of such a part.

A system declares the varying arguments of its own programs in its module ``varying_arguments``. The parts that come from
Drillbook itself, such as the id of a run, are defined in ``hosts.sudoers``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from drillbook.sdk import discovery, plugin_loading


@dataclass(frozen=True, slots=True)
class VaryingArgument:
    """A varying part of a command's arguments. ``pattern`` matches the part in the arguments. ``allowed``: pattern in the
    syntax of sudoers(5) that matches every value of the part, such as ``[0-9a-f][0-9a-f]``.
    """

    pattern: re.Pattern[str]
    allowed: str


def declared() -> Iterator[VaryingArgument]:
    """Yield the arguments that differ in every run, as the systems declare them for their own programs."""
    for system in discovery.systems():
        if system.varying_arguments:
            known: Mapping[str, VaryingArgument] = plugin_loading.table(
                system, "varying_arguments", "VARYING_ARGUMENTS", VaryingArgument
            )
            yield from known.values()
