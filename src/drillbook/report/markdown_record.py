"""Section of a Markdown report about the evidence files and the journal of a run."""

from __future__ import annotations

from drillbook.judge.result import RunView
from drillbook.report import run_record
from drillbook.report.figures import link
from drillbook.report.markdown_syntax import code, escape, prose, table


def section(view: RunView) -> list[str]:
    """Return the section of a Markdown report about the evidence files and the journal."""
    files, loose = run_record.evidence_rows(view), run_record.unsigned(view)
    lines = [
        ("Events", str(view.journal_events)),
        ("Last hash", code(view.journal_head)),
        ("Last line", "torn: left out" if view.torn else "complete"),
        ("To verify", code(f"{view.program} report.verify {view.result.run}")),
        *([("Signature", f"incomplete: {prose(loose)}")] if loose else []),
    ]
    listed = table(
        ("File", "From", "Size", "SHA-256"),
        [(evidence_link(row.file), escape(row.origin), row.size, code(row.sha256)) for row in files],
    )
    return [table(("Journal", "Value"), lines), *([listed] if files else [])]


def evidence_link(file: str) -> str:
    """Return a link to an evidence file in Markdown."""
    href = link(file)
    return f"[{escape(file)}]({href})" if href else code(file)
