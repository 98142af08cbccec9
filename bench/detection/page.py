"""The page docs/detection.md, generated from the results in docs/detection.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
WHOLE = "whole"
CATEGORIES = {
    "list": ("pg_restore -l", "pgbackrest info", "mbstream -x", "restic snapshots", "tar -t"),
    "own check": (
        "gzip -t, zstd -t, xz -t, lz4 -t, bzip2 -t",
        "pgbackrest verify",
        "restic check",
        "PRAGMA integrity_check",
        "valkey-check-rdb",
        "valkey-check-aof",
    ),
    "restore's status": (
        "pg_restore, psql -f",
        "pgbackrest restore",
        "mariadb < dump",
        "mariadb-backup --prepare",
        "restic restore",
        "tar -x",
        "opening the copy",
        "server starts",
    ),
    "counts": ("rows of all tables", "rows in the started server", "number of files", "number of keys"),
    "firedrill": ("firedrill run",),
}
"""Columns of the table, and the tools of each."""
HEAD = """\
# What notices a broken backup

Made by `invoke bench.detection` from `detection.json` beside this page; no figure is typed by hand. The corpus holds **{broken}
broken backups and {whole} whole ones** of {drivers} kinds, all made from real servers by the tests: in CI a third of
them at each commit, all of them with `invoke test --all`. Each broken one must give exactly its findings, and a whole one
none: that is so for **{exact} of {total}**.

Each cell tells how many of the broken backups were noticed. A tool that was asked fewer of them is the number behind the stroke;
`n/a`: nothing of this kind can be asked.

"""
NOTES = """
- *Drillbook*: exactly the findings that the artefact must have, by `backup.check`, or by `backup.restore` into a sandbox for
  damage that no check can see where the backup lies. Beyond the damage itself it knows the schedule, the service and its rules.
- *List*: exit status of {list_}.
- *Own check*: exit status of {check}.
- *Restore's status*: exit status of a restore by hand, as the manual of the tool says: {restore}. Counts: a person who compares
  the numbers of all rows, keys or files with those of production after it.
- *firedrill*: {firedrill}
- `pg_verifybackup` needs the manifest of pg_basebackup, and no kind of backup here has one: n/a. `borg check`: no kind of backup
  here is of borg: n/a.

"""


def number(rows: Iterable[dict[str, Any]], answer: Callable[[dict[str, Any]], bool | None]) -> str:
    """Numbers of detected and of tested artefacts, as text."""
    answers = [found for row in rows if (found := answer(row)) is not None]
    return f"{sum(answers)}/{len(answers)}" if answers else "n/a"


def by_category(category: str) -> Callable[[dict[str, Any]], bool | None]:
    """Result in a category: True when one of its tools detected the damage; None when none of them applies."""

    def answer(row: dict[str, Any]) -> bool | None:
        answers = [row["tools"][name] for name in CATEGORIES[category] if row["tools"].get(name) is not None]
        return any(answers) if answers else None

    return answer


def by_tool(name: str) -> Callable[[dict[str, Any]], bool | None]:
    """Result of one tool; None if it does not apply."""
    return lambda row: row["tools"].get(name)


def exact(row: dict[str, Any]) -> bool:
    """Result of Drillbook."""
    return bool(row["exact"])


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Format a table in Markdown."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def rendered(results: dict[str, Any]) -> str:
    """Format the page."""
    rows = results["artefacts"]
    broken = [row for row in rows if row["damage"] != WHOLE]
    drivers = list(dict.fromkeys(row["driver"] for row in rows))
    head = HEAD.format(
        broken=len(broken),
        whole=len(rows) - len(broken),
        drivers=len(drivers),
        exact=sum(row["exact"] for row in rows),
        total=len(rows),
    )
    return (
        head
        + _by_damage(rows, drivers)
        + notes(results)
        + "## Each tool\n\n"
        + _by_tool(rows)
        + "\n## Versions\n\n"
        + f"Asked at {results['made_at']}, with "
        + ", ".join(f"{name}: {version}" for name, version in results["versions"].items() if version)
        + ".\n"
    )


def _by_damage(rows: list[dict[str, Any]], drivers: list[str]) -> str:
    lines = []
    for driver in drivers:
        own = [row for row in rows if row["driver"] == driver and row["damage"] != WHOLE]
        for damage in dict.fromkeys(row["damage"] for row in own):
            lines.append(_line(driver, damage, [row for row in own if row["damage"] == damage]))
    lines.append(_line("**all**", "**all kinds**", [row for row in rows if row["damage"] != WHOLE]))
    lines.append(_line("**all**", "**false alarms**", [row for row in rows if row["damage"] == WHOLE], alarms=True))
    return table(("backup", "damage", "Drillbook", *CATEGORIES), lines)


def _line(driver: str, damage: str, rows: list[dict[str, Any]], *, alarms: bool = False) -> list[str]:
    own = number(rows, (lambda row: not exact(row)) if alarms else exact)
    return [driver, damage, own, *(number(rows, by_category(category)) for category in CATEGORIES)]


def _by_tool(rows: list[dict[str, Any]]) -> str:
    broken, whole = ([row for row in rows if (row["damage"] == WHOLE) is kind] for kind in (False, True))
    lines = []
    for name in dict.fromkeys(name for row in rows for name in row["tools"]):
        drivers = dict.fromkeys(row["driver"] for row in rows if name in row["tools"])
        lines.append((f"`{name}`", ", ".join(drivers), number(broken, by_tool(name)), number(whole, by_tool(name))))
    return table(("tool", "backups", "noticed", "false alarms"), lines)


def notes(results: dict[str, Any]) -> str:
    """Explanation of the columns."""
    said = {category: ", ".join(f"`{name}`" for name in names) for category, names in CATEGORIES.items()}
    asked = results["firedrill"]
    image = f", in the image {asked['image']}" if asked["image"] else ""
    text = (
        f"exit status of the package of PyPI, which restores dumps into a container{image}. It reads dumps of PostgreSQL, MySQL "
        "and MariaDB, and was asked about those of PostgreSQL that it reads. Its container has no roles of the cluster, and it "
        "fails for that at every dump, also at whole ones (`ROLE_ABSENT`): counted is what it says beyond that."
        if asked["asked"]
        else "n/a: the package of PyPI was not installed."
    )
    return NOTES.format(list_=said["list"], check=said["own check"], restore=said["restore's status"], firedrill=text)


def write(results: dict[str, Any]) -> None:
    """Write the results, and the page generated from them."""
    (DOCS / "detection.json").write_text(json.dumps(results, indent=1) + "\n")
    (DOCS / "detection.md").write_text(rendered(results))
