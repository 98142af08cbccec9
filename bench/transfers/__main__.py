"""Measure, and write the results: `python -m bench.transfers --size 1000 --pairs 5`."""

from __future__ import annotations

from pathlib import Path

from bench.overhead import command
from bench.transfers import page
from bench.transfers.measuring import measure
from bench.transfers.methods import METHODS


def main() -> None:
    parser = command.parser_of("transfers", __doc__, METHODS, size=1000)
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/var/tmp/drillbook-transfers"),
        help="where the lab and the data lie, by a short path; about six times the size",
    )
    command.run("transfers", parser.parse_args(), METHODS, page, measure)


if __name__ == "__main__":
    main()
