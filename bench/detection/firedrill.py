"""The package `firedrill` of PyPI, which restores dumps into a container of the image postgres:MAJOR.

It is asked where its program is on PATH. Where that image cannot be pulled, the variable FIREDRILL_IMAGE names another one with
the same interface, with ``{major}`` for the version of the dump; ``image`` builds such ones.
"""

from __future__ import annotations

import json
import os
import shutil

from bench.detection.tools import FIREDRILL, Case, Tool, fails

IMAGE = "FIREDRILL_IMAGE"
FAILING = ("critical", "high")
"""Severities of findings that fail it."""
UNREAD = ("zstd", "lz4", "bzip2", "xz", "custom.none.gzip", "tar.gzip", "custom.none.zstd")
"""Parts of the names of dumps that somebody packed, and that it does not read: it knows gzip of plain text alone."""


def tools() -> list[Tool]:
    """The tool, if it can be asked."""
    return [Tool("firedrill run", FIREDRILL, noticed)] if shutil.which("firedrill") else []


def noticed(case: Case) -> bool | None:
    """Return True when it fails for another reason than that its container lacks the roles of the dump, as it always does.

    None for a packed dump that it does not read.
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
