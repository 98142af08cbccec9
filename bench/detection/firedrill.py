"""The package `firedrill` of PyPI, which restores dumps into a container of the image postgres:MAJOR.

It is tested if its program is on PATH. If that image cannot be pulled, the variable FIREDRILL_IMAGE names another one
with the same interface, with ``{major}`` for the version of the dump; ``image`` builds such images.
"""

from __future__ import annotations

import json
import os
import shutil

from bench.detection.tools import FIREDRILL, Case, Tool, fails

IMAGE = "FIREDRILL_IMAGE"
FAILING = ("critical", "high")
"""Severities of findings that count as a failure."""
UNREAD = ("zstd", "lz4", "bzip2", "xz", "custom.none.gzip", "tar.gzip", "custom.none.zstd")
"""Parts of the names of compressed dumps that firedrill cannot read, because it only knows gzip of plain text."""


def tools() -> list[Tool]:
    """The tool, if it is available."""
    return [Tool("firedrill run", FIREDRILL, noticed)] if shutil.which("firedrill") else []


def noticed(case: Case) -> bool | None:
    """Return True when firedrill fails for another reason than the missing roles of the dump in its container, which
    it always reports. None for a compressed dump that it cannot read.
    """
    path = next(path for path in (case.root / "backups").iterdir() if path.name != "globals.sql")
    packed = not path.name.startswith(("custom.zstd", "custom.lz4", "directory.")) and path.name.endswith(UNREAD)
    if packed:
        return None
    image = os.environ.get(IMAGE)
    options = ["--image", image] if image else []
    report = case.root / "firedrill.json"
    failed = fails("firedrill", "run", path, "--no-config", "--json", report, *options, cwd=case.root, env=os.environ)
    if not failed or not report.exists():
        return failed
    told = json.loads(report.read_text())
    return not told["verified"] or any(
        found["severity"] in FAILING and found["rule"] != "ROLE_ABSENT" for found in told["findings"]
    )
