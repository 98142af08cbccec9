"""The Jinja environment of all reports.

Printed values are treated as data: they are escaped, and invisible characters are made visible.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from drillbook.installation.program_name import as_called
from drillbook.report import action_references, compiled_templates, dead_runs, figures, open_findings, remarks, wording

COMMAND, CODE = Markup('<code class="command">{}</code>'), Markup("<code>{}</code>")


def _printed(value: Any) -> Any:
    """Format a value that a template prints by ``{{ }}``.

    Raises TypeError for None. A template must itself choose a text to print for a missing value.
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        raise TypeError("a template of a report printed None where a text is needed")
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return figures.shown(value)


def escaped(value: object) -> str:
    """Format ``value`` as ``{{ }}`` does: escaped, with invisible characters made visible. Raises TypeError for None."""
    return str(escape(_printed(value)))


def commands(text: object) -> Markup:
    """Format each part of ``text`` between backticks as a command that one click selects, except a command that only prints the
    documentation of actions.

    Everything is escaped.
    """
    return _marked(text, COMMAND)


def quoted(text: object) -> Markup:
    """Format each part of ``text`` between backticks as code. Everything is escaped."""
    return _marked(text, CODE)


def signs(text: object) -> Markup:
    """Format a legend of ``remarks``: the meaning of each sign, and what follows from all signs, begin on a new line."""
    legend = figures.shown(text)
    for start in (*(f"{sign} " for sign in remarks.LEGENDS), remarks.RESERVATION):
        legend = legend.replace(f". {start}", f".\n{start}")
    return Markup("<br>\n").join(escape(line) for line in legend.split("\n"))


def _marked(text: object, form: Markup) -> Markup:
    parts = re.split(r"`([^`\n]+)`", figures.shown(text))
    return Markup("").join(_code(part, form) if number % 2 else escape(part) for number, part in enumerate(parts))


def _code(part: str, form: Markup) -> Markup:
    return (CODE if action_references.is_reference(part) else form).format(part)


def dated_commands(text: object) -> Markup:
    """Format each part of ``text`` between backticks as a command, as ``commands`` does. In the other parts, format the dates
    so that no line breaks inside a date.
    """
    return _dated(text, COMMAND)


def dated_code(text: object) -> Markup:
    """Format each part of ``text`` between backticks as code. In the other parts, format the dates as ``dated_commands`` does."""
    return _dated(text, CODE)


def _dated(text: object, form: Markup) -> Markup:
    parts = re.split(r"`([^`\n]+)`", figures.shown(text))
    return Markup("").join(_code(part, form) if number % 2 else whole_dates(part) for number, part in enumerate(parts))


def whole_dates(text: object) -> Markup:
    """Mark the dates in ``text`` so that no line breaks inside them. Everything is escaped."""
    parts = re.split(r"(\d{4}-\d\d-\d\d)", figures.shown(text))
    return Markup("").join(
        Markup('<span class="date">{}</span>').format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


def breakable(text: object) -> Markup:
    """Mark the places at which a browser may break a long name or path into two lines. These places are after separators
    such as ``/`` and ``_``, and between a date and its time, but not inside a date, a time or a number.
    """
    date, time = r"(\d{4}-\d\d-\d\d)", r"((?<=\d)T\d\d:\d\d[\d:.]*Z?)"
    parts = re.split(rf"{date}|{time}|((?<=\w)(?:[/_@=+-]+|[.:]+(?=[A-Za-z]))(?=\w))", figures.shown(text))
    whole = Markup('<span class="date">{}</span>')
    forms = (Markup("{}"), whole, Markup("<wbr>") + whole, Markup("{}<wbr>"))
    return Markup("").join(forms[number % 4].format(part) for number, part in enumerate(parts) if part)


def run_names(text: object) -> Markup:
    """Mark the places at which a browser may break the names of runs in ``text`` into two lines. The time at the beginning
    of a name is never broken.
    """
    parts = re.split(r"(\d{8}T\d{6}\.\d{3}Z-?)", figures.shown(text))
    form = Markup('<span class="date">{}</span><wbr>')
    return Markup("").join(form.format(part) if number % 2 else breakable(part) for number, part in enumerate(parts))


def prose(text: object) -> Markup:
    """Format each part of ``text`` between backticks as code. In the other parts, a number and its unit stay on one line.
    The address of a web page may be broken after each slash. Everything is escaped.
    """
    parts = re.split(r"`([^`\n]+)`", figures.shown(text))
    form = Markup("<code>{}</code>")
    return Markup("").join(
        form.format(_addresses(part)) if number % 2 else _addresses(figures.tight(part)) for number, part in enumerate(parts)
    )


def _addresses(text: str) -> Markup:
    parts = re.split(r"(\bhttps?://[^\s`\"'<>]+)", text)
    return Markup("").join(
        Markup("/<wbr>").join(part.split("/")) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


FILTERS = (
    figures.seconds,
    figures.took,
    figures.utc,
    figures.utc_time,
    figures.utc_minute,
    figures.size,
    figures.count,
    figures.pretty,
    figures.link,
    figures.one_line,
    figures.milliseconds,
    figures.tight,
    as_called,
    commands,
    quoted,
    prose,
    whole_dates,
    breakable,
    run_names,
    dated_commands,
    signs,
    dated_code,
)
"""Functions that templates may apply to values."""


@cache
def environment() -> Environment:
    """Return the Jinja environment with filters, symbols and texts for templates. Compiled templates are cached."""
    env = Environment(
        loader=PackageLoader("drillbook.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
        keep_trailing_newline=True,
        bytecode_cache=compiled_templates.cache((__file__, figures.__file__)),
    )
    for function in FILTERS:
        env.filters[function.__name__] = function
    script = (files("drillbook.report") / "templates" / "filter.js").read_text(encoding="utf-8")
    env.globals |= {
        "reading": action_references.split,
        "wanted_name": open_findings.wanted_name,
        "measured_of": open_findings.measured,
        "shapes": wording.SHAPES,
        "step_shapes": wording.STEP_SHAPES,
        "states": wording.STATES,
        "state_classes": wording.STATE_CLASSES,
        "explained": wording.explained,
        "word_of": dead_runs.word_of,
        "filter_script": Markup(script),  # noqa: S704  our own file
        "filter_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return env
