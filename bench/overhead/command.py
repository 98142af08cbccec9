"""Command line of a measurement of pairs, which stores and prints the results of each method as it ends."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.overhead.measuring import Steps, described


class Named(Protocol):
    """Method with a name."""

    @property
    def name(self) -> str: ...


class Page(Protocol):
    """Module of the page for the results."""

    def line(self, pairs: dict[str, Any], /) -> str:
        """One row of the table."""

    def write(self, results: dict[str, Any], /) -> None:
        """Write the results and the page."""


def parser_of(program: str, description: str | None, methods: Sequence[Named], size: int) -> argparse.ArgumentParser:
    """Options of all measurements of pairs. ``size`` is the default number of MB."""
    parser = argparse.ArgumentParser(prog=f"invoke bench.{program}", description=description)
    parser.add_argument("--size", type=int, default=size, help="MB of data")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--methods", default=",".join(method.name for method in methods))
    parser.add_argument("--minutes", type=float, default=60.0, help="no pair begins after so many")
    parser.add_argument("--write", action="store_true", help=f"write docs/measurements/{program}.json and its page")
    return parser


def run(
    program: str,
    given: argparse.Namespace,
    methods: Sequence[Any],
    page: Page,
    measure: Callable[[Any, Path, int, int, float], Steps],
) -> None:
    """Measure the chosen methods, and print a row for each."""
    given.folder.mkdir(parents=True, exist_ok=True)
    stop, found = time.monotonic() + given.minutes * 60, []
    for method in methods:
        if method.name in given.methods.split(","):
            pairs = measure(method, given.folder.resolve(), given.size, given.pairs, stop)
            if not pairs.step:
                print(f"{method.name}: made", flush=True)
                continue
            found.append(pairs)
            print(page.line(pairs.as_json()), flush=True)
            results = described(given.folder, given.size, found)
            (given.folder / f"{program}.json").write_text(json.dumps(results, indent=2) + "\n")
            if given.write:
                page.write(results)
