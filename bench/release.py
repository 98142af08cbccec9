"""Set a new version of the checkout: its number in the package, and its number and date above the changes under
*Unreleased* in the changelog.
"""

import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
HEADING = "## Unreleased\n"


class Refused(Exception):
    """The requested version is not possible."""


def renumber(package: str, changelog: str, version: str, today: date) -> tuple[str, str]:
    """Texts of the package and of the changelog with ``version``. Raises Refused."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise Refused(f"{version!r} is no version; write MAJOR.MINOR.PATCH")
    before = VERSION.search(package)
    if before is None or HEADING not in changelog:
        raise Refused("the version in the package, or `## Unreleased` in the changelog, was not found")
    above, _, below = changelog.partition(HEADING)
    section, mark, older = below.partition("\n## ")
    released = re.findall(r"^## (\d+\.\d+\.\d+) - ", below, re.MULTILINE)
    if _numbers(version) <= max(map(_numbers, released), default=(0, 0, 0)) or _numbers(version) < _numbers(before[1]):
        raise Refused(f"{version} is not newer than {max([before[1], *released], key=_numbers)}")
    if not section.strip():
        raise Refused("nothing stands under `## Unreleased`")
    heading = f"{HEADING}\n## {version} - {today.isoformat()}\n"
    return VERSION.sub(f'__version__ = "{version}"', package), above + heading + section + mark + older


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def main() -> int:
    """Write both files."""
    package, changelog = ROOT / "src" / "drillbook" / "__init__.py", ROOT / "CHANGELOG.md"
    try:
        texts = renumber(package.read_text(), changelog.read_text(), sys.argv[1], datetime.now(UTC).date())
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    package.write_text(texts[0])
    changelog.write_text(texts[1])
    print(f"now commit it as `release: {sys.argv[1]}`; what comes next is in docs/releasing.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
