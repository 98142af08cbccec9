"""Collects all mistakes of a file, so that they are reported together and can be corrected together."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from drillbook.errors import SourceError

P = ParamSpec("P")
T = TypeVar("T")


class Mistakes:
    """Mistakes in the order in which they were found. They belong to one file, or to several files that are read together."""

    def __init__(self) -> None:
        """Start with an empty list of mistakes."""
        self.errors: list[SourceError] = []

    def of(self, part: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Call the function ``part``, and return its result. If it raises a SourceError, add this error and the errors that
        it contains to the mistakes, and return None.
        """
        try:
            return part(*args, **kwargs)
        except SourceError as error:
            self.errors += [error, *error.others]
            error.others = ()
            return None

    def report(self) -> None:
        """Raise the first mistake if there is any. The error contains the other mistakes. Each mistake is reported only
        once. Of several mistakes about the same absent service, only the first is reported.
        """
        errors = list({(str(error.where), error.message): error for error in self.errors}.values())
        absent = [error.absent for error in errors]
        kept = [error for index, error in enumerate(errors) if not error.absent or error.absent not in absent[:index]]
        if kept:
            first, *others = kept
            first.others = tuple(others)
            raise first
