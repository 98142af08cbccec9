"""Check of files for CI services against the published schemas of those services."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def assert_fits(path: Path, schema: str) -> None:
    """Fail with the message of check-jsonschema when the file does not match its built-in ``schema``, such as
    `vendor.gitlab-ci`.
    """
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
