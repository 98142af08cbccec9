"""Months at random, with runs, edits and a removed file: `drill.due` and the audit agree at each moment. See test_month.py."""

import random
from datetime import date, timedelta

import pytest

from drillbook.project.project import Project
from tests.audit.stories import SITE, Book
from tests.telemetry import test_month as month

HALF_DAYS = [month.BEGIN + timedelta(hours=12 * number) for number in range(62)]


def text(chance, name):
    """A file of the drill. Every second one of a rehearsal restores nothing."""
    if name in ("shorter", "longer"):
        made = month.SHORTER if name == "shorter" else month.LONGER
    else:
        made = chance.choice([month.PROVES, month.LOOKS]).replace("drill: rehearse", f"drill: {name}")
    return made.replace("every: 7d", "every: EVERY").replace("EVERY", chance.choice(["2d", "4d", "7d", "12d"]))


def how(chance, written, name):
    if name in ("shorter", "longer"):
        return chance.choice(["good", "good", "good", "slow", "refused"])
    return "refused" if chance.random() < 0.15 else "rehearsal" if "restore:" in written else "looked"


def events(chance, names):
    """Moments of runs, edits and one removal, in their order."""
    drawn = [("run", 30) for _ in range(22)] + [("edit", 30) for _ in range(12)] + [("remove", 10)]
    made = [(timedelta(minutes=chance.randrange(days * 1440)), what, chance.choice(names)) for what, days in drawn]
    late = timedelta(days=20)
    return sorted((month.BEGIN + at + (late if what == "remove" else timedelta(0)), what, name) for at, what, name in made)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(8))
def test_due_and_audit_agree_in_a_random_month(tmp_path, seed):
    chance, book, project = random.Random(seed), Book(tmp_path), Project(tmp_path)
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "site.yml").write_text(SITE)
    names = ["rehearse", "again", "shorter", "longer"]
    files = {name: text(chance, name) for name in names}
    for name, written in files.items():
        month.edited(tmp_path, name, written)
    todo, answers = events(chance, names), {}
    for at in sorted({*HALF_DAYS, *(at for at, _, _ in todo)}):
        while todo and todo[0][0] <= at:
            _, what, name = todo.pop(0)
            if name not in files:
                continue
            if what == "run":
                month.ended(book, at.strftime("%Y-%m-%dT%H:%M:%S"), name, how(chance, files[name], name))
            else:
                written = text(chance, name) if what == "edit" else ""
                month.edited(tmp_path, name, written)
                files = {**files, name: written} if written else {one: kept for one, kept in files.items() if one != name}
        answers[at] = month.looked(project, at)[0]
    spans = month.spans(month.made(project, date(2026, 3, 31), month.END.date()))
    assert spans
    for at, bad in answers.items():
        assert bad == {(service, drill) for service, drill, since, until in spans if since <= at < until}, at
