"""Finds the pages of the newest audit in the folder of all runs. The index of runs links to these pages.

Lives elsewhere: making an audit (package ``audit``). This module knows only the names of the files of an audit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.language.lists import ranged
from drillbook.report.figures import link

AUDIT, SUMMARY, DATA = "audit.html", "summary.html", "audit.json"
SCHEMA = "drillbook/audit/"


@dataclass(frozen=True, slots=True)
class AuditPages:
    """Links to the pages of one audit, relative to the folder of all runs."""

    period: str
    """First and last day of the audited period as text. If the audit was made before the period ended, also the day of the
    audit.
    """
    audit: str
    """Link to the page with the whole audit."""
    summary: str
    """Link to the summary for management. It is empty when this file is missing."""
    whole: bool = True
    """False if the audit says that the record of the runs is not complete."""


def newest(reports: Path) -> AuditPages | None:
    """Return the links to the newest readable audit in the folder ``reports``: the audit whose page was written last.
    Returns None when the folder contains no readable audit.
    """
    written = [(path.stat().st_mtime_ns, path) for path in reports.glob(f"[!.]*/{AUDIT}") if not path.parent.is_symlink()]
    for _, path in sorted(written, reverse=True):
        folder = path.parent.name
        if (href := link(f"{folder}/{AUDIT}")) and (data := _data(path.parent)):
            summary = f"{folder}/{SUMMARY}" if (path.parent / SUMMARY).is_file() else ""
            return AuditPages(_period(data), href, summary, data.get("whole") is not False)
    return None


def _data(folder: Path) -> dict[str, Any]:
    """Return the content of the audit in ``folder``. It is empty when the folder contains no readable audit."""
    try:
        data: dict[str, Any] = json.loads((folder / DATA).read_bytes())
        known = str(data["schema"]).startswith(SCHEMA) and _period(data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return data if known else {}


def _period(data: Mapping[str, Any]) -> str:
    """Return the period of an audit as text, such as ``2026-01-01 to 2026-06-30``."""
    so_far = f" (as of {data['so_far_to']})" if data.get("so_far_to") else ""
    return f"{ranged(data['since'], data['until'])}{so_far}"
