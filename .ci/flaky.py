"""Run once more, by themselves, the tests that failed in the run before, and name those that pass now: they are flaky.

Exit 0: nothing fails now, and fewer than three are flaky. Run in the folder of a project whose `.pytest_cache` tells
what failed; options are for pytest.
"""

import json
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache/v/cache/lastfailed")
TOO_MANY = 3
"""So many flaky tests are a fault of the tests, not of a busy moment."""


def failed() -> set[str]:
    """Tests that failed when they were run last."""
    return set(json.loads(FAILED.read_text())) if FAILED.exists() else set()


def main() -> int:
    """Run them, and print the names of the flaky ones last."""
    before = failed()
    if not before:
        return 0
    print(f"== {len(before)} failed: once more, by themselves", flush=True)
    again = [sys.executable, "-m", "pytest", "-n", "0", "--last-failed", "--last-failed-no-failures", "none"]
    status = subprocess.run([*again, *sys.argv[1:]], check=False).returncode
    flaky = sorted(before - failed())
    print(f"== {len(flaky)} flaky (failed beside others, passed alone); {TOO_MANY} fail the run")
    print("\n".join(f"FLAKY {name}" for name in flaky), flush=True)
    return status or int(len(flaky) >= TOO_MANY)


if __name__ == "__main__":
    raise SystemExit(main())
