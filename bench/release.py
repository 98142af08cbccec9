"""Set a new version of the checkout: its number in the package, and its number and date above the changes under
*Unreleased* in the changelog.

A version that is prepared, but has no tag yet, can be prepared again: changes since then join its section.
"""

import re
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
HEADING = "## Unreleased\n"


class Refused(Exception):
    """The requested version is not possible."""


def renumber(
    package: str, changelog: str, version: str, today: date, tags: Collection[str] | None = None
) -> tuple[str, str]:
    """Texts of the package and of the changelog with ``version``. Raises Refused.

    ``tags``: tags of the repository. Without them, every version with a date counts as released.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise Refused(f"{version!r} is no version; write MAJOR.MINOR.PATCH")
    before = VERSION.search(package)
    if before is None or HEADING not in changelog:
        raise Refused("the version in the package, or `## Unreleased` in the changelog, was not found")
    above, _, below = changelog.partition(HEADING)
    section, mark, older = below.partition("\n## ")
    released = re.findall(r"^## (\d+\.\d+\.\d+) - ", below, re.MULTILINE)
    if (
        tags is not None
        and section.strip()
        and [version, before[1]] == [before[1], *released[:1]]
        and f"v{version}" not in tags
    ):
        _, _, rest = older.partition("\n")
        prepared, mark, older = rest.partition("\n## ")
        section, released = f"\n{joined(section, prepared)}", released[1:]
    if _numbers(version) <= max(map(_numbers, released), default=(0, 0, 0)) or _numbers(version) < _numbers(before[1]):
        raise Refused(f"{version} is not newer than {max([before[1], *released], key=_numbers)}")
    if not section.strip():
        raise Refused("nothing stands under `## Unreleased`")
    heading = f"{HEADING}\n## {version} - {today.isoformat()}\n"
    return VERSION.sub(f'__version__ = "{version}"', package), above + heading + section + mark + older


def joined(newer: str, older: str) -> str:
    """Join two sections of the changelog part by part: *Added* to *Added*, the newer changes first."""
    parts: dict[str, list[str]] = {}
    for section in (newer, older):
        for part in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
            name, _, lines = part.partition("\n")
            parts.setdefault(name.strip(), []).append(lines.strip("\n"))
    return "\n".join(f"### {name}\n\n" + "\n".join(lines) + "\n" for name, lines in parts.items())


def _tags() -> list[str]:
    return subprocess.run(["git", "-C", str(ROOT), "tag"], capture_output=True, text=True, check=True).stdout.split()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def main() -> int:
    """Write both files."""
    package, changelog = ROOT / "src" / "drillbook" / "__init__.py", ROOT / "CHANGELOG.md"
    try:
        texts = renumber(package.read_text(), changelog.read_text(), sys.argv[1], datetime.now(UTC).date(), _tags())
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    package.write_text(texts[0])
    changelog.write_text(texts[1])
    print(f"now commit it as `release: {sys.argv[1]}`; what comes next is in docs/releasing.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
