"""All renderings of all samples, by the name of the golden file."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

from rich.console import Console, RenderableType

from drillbook.judge.result import RunView
from drillbook.report import html, index, junit, markdown
from drillbook.report.formats import as_json
from drillbook.report.terminal import summary
from tests.report import samples


def printed(what: RenderableType, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None, legacy_windows=False)
    console.print(what, crop=False)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def formats(view: RunView) -> dict[str, str]:
    return {
        "html": html.render(view),
        "md": markdown.render(view),
        "xml": junit.render(view),
        "txt": printed(summary.summary(view, "reports/x/report.html")),
    }


@cache
def rendered(name: str) -> dict[str, str]:
    """Formats of a sample."""
    return formats(samples.ALL[name]())


def _all() -> dict[str, Callable[[], str]]:
    found: dict[str, Callable[[], str]] = {}
    for name in samples.ALL:
        for ending in ("html", "md", "xml", "txt"):
            found[f"{name}.{ending}"] = lambda name=name, ending=ending: rendered(name)[ending]
    for name in samples.RECORDED:
        found[f"{name}.json"] = lambda name=name: as_json(
            samples.recorded(name).result.model_dump(mode="json", by_alias=True)
        )
    found["suite.html"] = lambda: html.render_suite(*samples.suite())
    found["suite.md"] = lambda: markdown.render_suite(*samples.suite())
    found["suite.xml"] = lambda: junit.render_suite(*samples.suite())
    found["suite.txt"] = lambda: printed(summary.suite_summary(*samples.suite(), "reports/x/report.html"))
    found["index.html"] = lambda: index.render(samples.entries())
    return found


ALL = _all()
PAGES = [name for name in ALL if name.endswith(".html")]
