"""The Jinja environment of all reports. Whatever a template prints is data: escaped, and made visible."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from drillbook.report import figures, wording


def _printed(value: Any) -> Any:
    """What ``{{ }}`` prints. Raises TypeError for None: what is missing must be said in words."""
    if isinstance(value, Markup):
        return value
    if value is None:
        raise TypeError("a report would print None")
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return figures.shown(value)


@cache
def environment() -> Environment:
    """The environment with the filters and words that templates use; it keeps what it has compiled."""
    env = Environment(
        loader=PackageLoader("drillbook.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
        keep_trailing_newline=True,
    )
    for function in (
        figures.seconds,
        figures.took,
        figures.utc,
        figures.utc_time,
        figures.size,
        figures.count,
        figures.pretty,
        figures.link,
        figures.one_line,
        figures.milliseconds,
        figures.tight,
    ):
        env.filters[function.__name__] = function
    env.globals |= {
        "shapes": wording.SHAPES,
        "step_shapes": wording.STEP_SHAPES,
        "step_words": wording.STEP_WORDS,
        "states": wording.STATES,
        "verdicts": wording.VERDICTS,
    }
    return env
