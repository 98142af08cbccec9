"""Every rendering of every sample, by the name of its golden file."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console, RenderableType

from drillbook.judge.result import RunView
from drillbook.report import html, index, junit, markdown
from drillbook.report.terminal import summary
from tests.report import samples


def printed(what: RenderableType, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None, legacy_windows=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def formats(view: RunView) -> dict[str, str]:
    return {
        "html": html.render(view),
        "md": markdown.render(view),
        "xml": junit.render(view),
        "txt": printed(summary.summary(view, "reports/x/report.html")),
    }


def _all() -> dict[str, Callable[[], str]]:
    found: dict[str, Callable[[], str]] = {}
    for name, make in samples.ALL.items():
        for ending in ("html", "md", "xml", "txt"):
            found[f"{name}.{ending}"] = lambda make=make, ending=ending: formats(make())[ending]
    found["suite.html"] = lambda: html.render_suite(*samples.suite())
    found["suite.md"] = lambda: markdown.render_suite(*samples.suite())
    found["suite.xml"] = lambda: junit.render_suite(*samples.suite())
    found["suite.txt"] = lambda: printed(summary.suite_summary(*samples.suite(), "reports/x/report.html"))
    found["index.html"] = lambda: index.render(samples.entries())
    return found


ALL = _all()
PAGES = [name for name in ALL if name.endswith(".html")]
