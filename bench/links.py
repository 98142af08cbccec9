"""Open the links of the documentation to other sites, and tell which of them lead nowhere. This needs a network; the test of
the repository needs none, and compares the links with the list in tests/repository/external_links.txt.

Each line of the list has a link, after the day on which it last answered: to this module, or to a person. The word `never` stands
for a link that nobody has opened yet.
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tests" / "repository" / "external_links.txt"
NEVER = "never"
TIMEOUT_S = 20.0
_LINK = re.compile(r"\]\((https?://[^)\s]+)\)|<(https?://[^>\s]+)>|^\[[^\]]+\]:\s*(https?://\S+)")
_CODE = re.compile(r"^ *(```|~~~)")


def pages(root: Path = ROOT) -> list[Path]:
    """Pages of the documentation, and the Markdown files beside them."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]


def links(paths: Iterable[Path], root: Path = ROOT) -> dict[str, list[str]]:
    """Links to other sites, each with its places as FILE:LINE. Examples in code are no links."""
    places: dict[str, list[str]] = {}
    for path in paths:
        in_code = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if _CODE.match(line):
                in_code = not in_code
            for match in () if in_code else _LINK.finditer(re.sub(r"`[^`]*`", "", line)):
                places.setdefault(next(filter(None, match.groups())), []).append(f"{path.relative_to(root)}:{number}")
    return places


def read(path: Path = LIST) -> dict[str, str]:
    """Days of the list, by their links."""
    return {link: day for day, link in (line.split() for line in path.read_text().splitlines() if line.strip())}


def write(places: Mapping[str, list[str]], days: Mapping[str, str], path: Path = LIST) -> None:
    """Write the list of the links in ``places``. ``days``: day on which each of them last answered."""
    path.write_text("".join(f"{days.get(link, NEVER):10} {link}\n" for link in sorted(places)))


def failure(link: str) -> str:
    """Open ``link``. Return the reason why it leads nowhere, or an empty text."""
    request = urllib.request.Request(link, headers={"User-Agent": "drillbook-links"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        return f"status {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__


def check(places: Mapping[str, list[str]], today: date, path: Path = LIST) -> list[str]:
    """Open all links, and write the list. Return a line for each place of a link that leads nowhere."""
    days, wrong = read(path) if path.exists() else {}, []
    for link, at in sorted(places.items()):
        if why := failure(link):
            wrong += [f"{place}: {link}: {why}" for place in at]
        else:
            days[link] = today.isoformat()
    write(places, days, path)
    return wrong


def main() -> int:
    """Open all links of the documentation. Returns 1 when one of them leads nowhere."""
    places = links(pages())
    wrong = check(places, datetime.now(UTC).date())
    print("\n".join([*wrong, f"{len(places)} links, {len({line.split(': ')[1] for line in wrong})} lead nowhere"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
