"""Printed page of the summary for management: how many alerts and services it shows, and how much of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from drillbook.audit import (
    brief_steps,
    briefing,
    hidden_alerts,
    rehearsal_figures,
    services,
    summary_terms,
    unproven_reasons,
)
from drillbook.audit.alert import Alert, Topic
from drillbook.audit.objective_states import ProvenRow
from drillbook.audit.service_groups import TITLES, Group
from drillbook.audit.service_row import NEVER, ServiceRow
from drillbook.audit.summary_layout import (
    LEAST_ALERTS,
    MEANS,
    MOST_ALERTS,
    NOTE,
    NOTE_GAP,
    OTHERS,
    OTHERS_GAP,
    STANDING,
    Layout,
    RowSize,
    alerts_height,
    bold,
    chosen,
    layouts,
    never_height,
    row_size,
    services_height,
    terms_height,
)
from drillbook.language.lists import leading
from drillbook.report import remarks
from drillbook.report.figures import count
from drillbook.report.shortened import shortened

STATE_LETTERS = 20
"""Number of letters of a text about findings that fit in a line of the column `State`."""
MORE_LETTERS = 26
"""Number of letters of a text about reservations that fit in a line of the column `Objectives set` of a dense table."""
MORE = "Of the services above"
"""Title of the line about objectives that the table does not show."""
MOST_NAME = 26
"""Largest number of letters of a service's name in a list of names."""


@dataclass(frozen=True, slots=True)
class Page:
    """Content of the printed page. ``alerts``: number of the alerts; ``steps``: number of those with their whole next step, while
    the others have it in a few words; ``rehearsals``: line with the figures of rehearsals, which is empty if the page has no room
    for it; ``asks``: False if the line about the alerts that are left out has only their subjects.
    """

    alerts: int
    steps: int
    layout: Layout
    rehearsals: str
    rows: Sequence[ServiceRow]
    """Rows of all services."""
    asks: bool = True

    @property
    def drilled(self) -> list[ServiceRow]:
        """Rows of the services that were drilled, in their order on the page."""
        return [row for row in self.rows if row.state != NEVER]

    @property
    def below(self) -> list[tuple[str, str]]:
        """Names of the services in the table, with what a dense table does not show of their objectives. If the page has no room for
        this, it is one text about all of them, without figures and reasons."""
        shown = self.drilled[: self.layout.rows]
        if self.layout.bare:
            text = unproven_reasons.names([goal for row in shown for goal in row.hidden])
            return [(MORE, text)] if text else []
        return [(services.named(row, self.rows), row.below) for row in shown if row.below]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Names of the services below the table that have a line with their figures, and these lines."""
        shown = self.drilled[self.layout.rows : self.layout.figures]
        return [(services.named(row, self.rows), row.line) for row in shown]

    @property
    def names(self) -> list[tuple[str, str]]:
        """Groups of the services without figures, from the worst to the best: a title with the number of the services, and their
        names."""
        shown = {row.rank for row in self.drilled[: self.layout.figures]}
        groups = [
            (rank, list(members)) for rank, members in groupby(self.drilled[self.layout.figures :], key=lambda row: row.rank)
        ]
        return [
            (
                f"{TITLES[rank]} ({count(len(members), 'more service' if rank in shown else 'service')})",
                ", ".join(shortened(services.named(row, self.rows), MOST_NAME) for row in members),
            )
            for rank, members in groups
        ]

    @property
    def legend(self) -> str:
        """Meanings of the signs that the page shows."""
        return legend(self.drilled[: self.layout.figures])

    def explains(self, term: str) -> bool:
        """Return True if the page has the definition of ``term``."""
        return summary_terms.on_paper(term, self.layout, rehearsals=bool(self.rehearsals))


def legend(rows: Sequence[ServiceRow]) -> str:
    """Return the meanings of the signs beside the figures of ``rows``."""
    return remarks.legend(row.shown_marks for row in rows)


def head_height(standing: str, means: Sequence[tuple[str, str]]) -> float:
    """Return the height of the texts above the alerts."""
    return STANDING.height(standing) + sum(MEANS.height(text) + 1 for _, text in means)


def of(rows: Sequence[ServiceRow], warnings: Sequence[Alert], head: float, never: str, exempt: str) -> Page:
    """Return what the printed page shows. The line with the figures of rehearsals is left out if fewer services would have
    figures beside it, or if only without it there is room for a table, for the rows of all services that did not pass, or for the
    texts below them.

    ``rows``: rows of all services. ``head``: see ``head_height``. ``never``: names of the services that were never drilled.
    ``exempt``: sentence below the table; a page with a dense table leaves it out, because the head of the page tells the number
    of the exempt services.
    """
    drilled = [row for row in rows if row.state != NEVER]
    sizes = [_size(row, rows) for row in drilled]
    lists, shortest = _lists(warnings)
    failed = sum(row.rank is Group.FAILED for row in drilled)
    known = list(layouts(len(lists), shortest, len(drilled), failed))

    def best(told: str, *, asks: bool = False) -> Page:
        heights = [alerts_height(_alert_lines(warnings, *each, asks=asks)) for each in lists]

        def page(layout: Layout) -> Page:
            return Page(*lists[layout.alerts], layout, told, rows, asks)

        def height(layout: Layout) -> float:
            around = head + heights[layout.alerts] + never_height(layout, never)
            return around + services_height(layout, sizes) + _notes(page(layout), exempt)

        return page(chosen(known, height))

    told = rehearsal_figures.line([(services.named(row, rows), row.rehearsed) for row in drilled])
    most, without = best(told), best("")
    shown = most if _as_good(most.layout, without.layout, len(drilled), failed) else without
    asking = best(shown.rehearsals, asks=True)
    return asking if _asks_instead(asking, shown) else shown


def _asks_instead(asking: Page, shown: Page) -> bool:
    """Return True if the page ``asking``, with the next steps of the alerts that are left out, shows as much of the services as
    the page ``shown`` without them, and no more alerts have their next step in a few words."""
    same = replace(asking.layout, alerts=0) == replace(shown.layout, alerts=0)
    return same and asking.alerts - asking.steps <= shown.alerts - shown.steps


def _as_good(most: Layout, without: Layout, drilled: int, failed: int) -> bool:
    """Return True if the layout ``most``, with the figures of rehearsals, shows as much of the services as the one without them."""
    as_good = most.figures == drilled and (most.table or not without.table)
    as_good = as_good and (most.rows >= failed or without.rows < failed)
    return as_good and (without.bare or not most.bare)


def _notes(page: Page, exempt: str) -> float:
    """Return the height of everything below the rows of services, and of the lines with the figures of services."""
    notes = [page.legend, "" if page.layout.dense else exempt]
    lines = [f"{bold(title)}: {names}" for title, names in page.names]
    lines += [f"{bold(title)}: {text}" for title, text in page.below] if page.layout.bare else []
    lines += [f"{summary_terms.REHEARSED}: {page.rehearsals}"] if page.rehearsals and page.layout.dense else []
    return (
        sum(NOTE.height(text) + NOTE_GAP for text in notes if text)
        + sum(OTHERS.height(text) + OTHERS_GAP for text in lines)
        + terms_height([term for term in summary_terms.of(page.rows) if page.explains(term[0])])
    )


def _lists(warnings: Sequence[Alert]) -> tuple[list[tuple[int, int]], int]:
    """Return the lists of alerts that the page may show, from the shortest to the longest. Each list is told by the number of its
    alerts, and by the number of those with their whole next steps. The last value is the number of the lists in which alerts have
    only a few words of their next steps.
    """
    least = min(MOST_ALERTS, max(LEAST_ALERTS, briefing.needed(warnings)))
    numbers = [len(leading(warnings, number)[0]) for number in range(least, MOST_ALERTS + 1)]
    lists = [(numbers[0], steps) for steps in range(numbers[0])] + [(number, number) for number in numbers]
    return lists, numbers[0]


def _alert_lines(warnings: Sequence[Alert], number: int, steps: int, *, asks: bool) -> list[str]:
    """Return the lines about alerts on paper. ``number``, ``steps`` and ``asks``: as in ``Page``."""
    texts = [_printed(alert, whole=at < steps) for at, alert in enumerate(warnings[:number])]
    last = hidden_alerts.line(warnings[number:], brief=steps < number, whole=asks)
    return [*texts, last] if last else texts


def _printed(alert: Alert, *, whole: bool) -> str:
    """Return the text of ``alert`` on paper. ``whole``: False for a few words of its next step."""
    text = bold(alert.text) if alert.topic is Topic.RECORD else alert.text
    return f"{text} \N{RIGHTWARDS ARROW} {alert.action if whole else brief_steps.action(alert)}{'. Report' if alert.run else ''}"


def _size(row: ServiceRow, rows: Sequence[ServiceRow]) -> RowSize:
    """Return the height of the row of one service in each form; see ``RowSize``. ``rows``: rows of all services."""
    goals = (("rto", row.rto, (row.restored,), ()), ("rpo", row.rpo, (row.would_lose, row.set_by), row.losses))
    unmet = [[f"? {goal.lacking}" for goal in row.unmet if goal.key == key] for key, _, _, _ in goals]
    state = 2 + math.ceil(len(row.beside) / STATE_LETTERS)
    shortest = max(1 + sum(math.ceil(len(text) / MORE_LETTERS) for text in row.more), state)
    full = [[*lacks, *_figure(goal, lacks), *lost, *more] for lacks, (_, goal, more, lost) in zip(unmet, goals, strict=True)]
    dense, bare = (
        [
            [*(filter(None, [row.missed_beside(key)]) if goal else lacks[:1]), *_figure(goal, lacks, said=said), *lost]
            for lacks, (key, goal, _, lost) in zip(unmet, goals, strict=True)
        ]
        for said in (True, False)
    )
    return row_size(
        (row.service, row.environment),
        (max(2 + 2 * len(row.more) + 3 * len(unproven_reasons.without_column(row.unmet)), state), shortest),
        (full, dense, bare),
        f"{services.named(row, rows)}: {row.line}",
        f"{services.named(row, rows)}: {row.below}" if row.below else "",
    )


def _figure(row: ProvenRow | None, lacks: Sequence[str], *, said: bool = True) -> tuple[str, ...]:
    """Return the lines with the figure of a cell. ``lacks``: other lines of the cell, in place of a figure that is unknown.
    ``said``: False to leave out the words beside the target."""
    if row is None:
        return () if lacks else ("not measured", "no drill has an RTO")
    return f"{row.measured}{row.mark}", f"{row.aim if said else row.short_aim}, {row.drill}"
