"""Notice at the top of the index about the runs that are in progress.

A run adds itself to the notice when it begins. This is fast, because only these lines of the page are replaced. So a reader
who opens the page after the controller of the run died sees the run, and the command that tells its state.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from markupsafe import Markup

from drillbook.atomic_file import replace_file
from drillbook.installation.program_name import program
from drillbook.report import index_age
from drillbook.report.figures import one_line, utc_minute
from drillbook.report.folders import begun
from drillbook.sdk.run_names import drill_of

PLACE = re.compile("(?<=<!-- in progress -->).*?(?=<!-- -->)", re.DOTALL)
"""Regular expression for the notice in the page. The template writes the two comments around it."""


def notice(going: Sequence[str]) -> Markup:
    """Return the notice about the runs ``going``, which are named as in ``index_age.in_progress``. It is empty without a run."""
    if not going:
        return Markup("")
    runs = [unquote(run).rpartition("/")[2] for run in going]
    names = Markup(", ").join(
        Markup('<bdi>{}</bdi>, begun <span class="num">{}</span>').format(
            one_line(drill_of(run) or run), utc_minute(begun(run)) or "at an unknown time"
        )
        for run in runs
    )
    return Markup(
        '<p class="going"><b>In progress when this page was written:</b> {}. To see if it still is, and how to recover it if its '
        'controller died: <code class="command">{} drill.list</code></p>'
    ).format(names, program())


def write(reports: Path) -> None:
    """Replace the notice in the index by one about the runs that are in progress now. The page keeps its time, so it is written
    anew as soon as a command finds that a run is not in it. Nothing happens without an index, or if it cannot be written.
    """
    page = reports / index_age.PAGE
    with contextlib.suppress(OSError, ValueError):
        with page.open(encoding="utf-8") as file:
            written, text = os.fstat(file.fileno()), file.read()
        told = notice(index_age.in_progress(reports))
        replace_file(page, PLACE.sub(lambda _: str(told), text, count=1).encode())
        os.utime(page, ns=(written.st_mtime_ns, written.st_mtime_ns))
