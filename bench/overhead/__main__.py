"""Measure, and write the results: `python -m bench.overhead --size 2000 --pairs 5`."""

from __future__ import annotations

from pathlib import Path

from bench.overhead import command, page
from bench.overhead.measuring import measure
from bench.overhead.methods import METHODS


def main() -> None:
    parser = command.parser_of("overhead", __doc__, METHODS, size=2000)
    parser.add_argument(
        "--folder", type=Path, required=True, help="where data, backups and copies lie; about four times the size"
    )
    parser.add_argument("--make", action="store_true", help="make the backups alone, and measure nothing")
    given = parser.parse_args()
    if given.make:
        given.pairs = 0
    command.run("overhead", given, METHODS, page, measure)


if __name__ == "__main__":
    main()
