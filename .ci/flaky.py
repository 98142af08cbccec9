"""Run the tests that failed in the previous run again, separately, and list those that now pass: they are flaky.

Exit 0: nothing fails any more, and fewer than three are flaky. Runs in the folder of a project whose `.pytest_cache`
lists the failed tests; options are passed to pytest.
"""

import json
import subprocess
import sys
from pathlib import Path

FAILED = Path(".pytest_cache/v/cache/lastfailed")
TOO_MANY = 3
"""This number of flaky tests is a fault of the tests, not of a busy moment."""


def failed() -> set[str]:
    """Tests that failed when they last ran."""
    return set(json.loads(FAILED.read_text())) if FAILED.exists() else set()


def main() -> int:
    """Run the failed tests again, and print the names of the flaky ones at the end."""
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
