"""The Jinja environment of all reports. Printed values are data: they are escaped, and invisible characters become visible."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from drillbook.report import figures, wording


def _printed(value: Any) -> Any:
    """Format a value printed by ``{{ }}``. Raises TypeError for None: templates must print a text for a missing value."""
    if isinstance(value, Markup):
        return value
    if value is None:
        raise TypeError("a template of a report printed None in place of a text")
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return figures.shown(value)


@cache
def environment() -> Environment:
    """Jinja environment with the filters, symbols and texts for templates; compiled templates are cached."""
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
        "explained": wording.explained,
    }
    return env
