"""Result of a diagnosis on the terminal: whom to call, and what the result does not rest on."""

import io

import pytest
from rich.console import Console

from drillbook.cli import show_diagnosis
from drillbook.diagnosis.ranking import Seen, Suspect
from drillbook.diagnosis.run import Book, CheckResult, Diagnosis
from drillbook.inventory.inventory import Contact
from tests.diagnosis.test_trees import DEAD, TREE, Site
from tests.diagnosis.test_trees import site as site


def told(found, inventory, *, verbose=False):
    out = io.StringIO()
    show_diagnosis.show(found, inventory, Console(file=out, width=200, color_system=None), verbose=verbose)
    return out.getvalue()


@pytest.mark.parametrize(("call", "shown"), [("", ["oncall: on duty", "dba: DBA"]), ("dba, nobody", ["call: dba: DBA"])])
def test_contacts_of_the_remedy_come_instead_of_all(tmp_path, call, shown):
    made = Site(tmp_path, TREE.replace("remedy: {text: start it,", f"remedy: {{text: start it, contacts: [{call}],"))
    contacts = {"oncall": Contact(role="on duty"), "dba": Contact(role="DBA")}
    made.inventory = made.inventory.model_copy(update={"contacts": contacts})
    made.book = Book(made.book.trees, made.inventory)
    made.unit("app", DEAD)
    found = made.look("api")
    assert found.ranked[0].contacts == (("dba",) if call else ()), "whom the inventory does not have is left out"
    lines = [one.strip() for one in told(found, made.inventory).splitlines()]
    assert [one for one in lines if one in ("oncall: on duty", "dba: DBA", "call: dba: DBA")] == shown


def test_healthy_names_what_it_does_not_rest_on(site, tmp_path):
    found = site.look("api")
    said = told(found, site.inventory)
    assert "every check ran" not in said
    assert "skipped, not needed: 1 check; -v names them" in said
    assert "memory of api" not in said
    assert "skipped, not needed: memory of api" in told(found, site.inventory, verbose=True)
    without = Site(
        tmp_path,
        TREE.replace('  memory: {host.memory: {service: "{{ service.name }}"}, when: not unit.ok}\n', "")
        .replace("memory.used_percent > 90", "unit.ok is none")
        .replace("{{ memory.used_percent }}", "")
        .replace("{{ memory.nothing }}", ""),
    )
    assert "every check ran, and none" in told(without.look("api"), without.inventory)


LONG = "the server at 127.0.0.1:29479: Connection refused; check `services.database.port` (inventory/lab.yml:68)"


def suspect(name, *, remedy="Read its log, then start database.", says=("the unit postgresql on db-1 is STOPPED",)):
    return Suspect(
        cause=name,
        title=f"the title of {name}",
        impact="unavailable",
        subject="api",
        service="api",
        score=9,
        supports=tuple(Seen(says=text, weight=3) for text in says),
        against=(Seen(says=f"it answers after {name}", weight=1),),
        unseen=(),
        remedy=remedy,
        contacts=("dba",),
        step=None,
    )


def found(*ranked, doubts=9):
    why = tuple(f"database: check {number} could not be examined: {LONG}" for number in range(doubts))
    return Diagnosis(
        examined=tuple(f"service-{number}" for number in range(10)),
        found=ranked[0].cause if ranked else "unknown",
        ranked=ranked,
        why=(*why, "api: not true: unit.ok"),
        seconds=1.5,
        error_s=0.001,
        checks=(check("api", "unit"), *(check("database", f"c{number}", "not made") for number in range(doubts))),
    )


def check(subject, name, status="made"):
    ok = status == "made"
    return CheckResult(subject=subject, check=name, action="x.y", status=status, ok=ok, message="", seconds=1, facts={})


def screen(diagnosis, inventory, *, height=24, verbose=False):
    """Lines on a terminal of 80 columns."""
    out = io.StringIO()
    terminal = Console(file=out, width=80, height=height, color_system=None, force_terminal=True)
    beside = {f"copy-{number}": "a standby" for number in range(30)}
    show_diagnosis.show(diagnosis, inventory, terminal, verbose=verbose, beside=beside)
    return out.getvalue().splitlines()


@pytest.fixture
def called(site):
    return site.inventory.model_copy(update={"contacts": {"dba": Contact(role="DBA", email="dba@example.com")}})


@pytest.mark.parametrize("length", [1, 80])
def test_the_likeliest_cause_and_its_remedy_stay_on_the_screen(called, length):
    causes = [
        suspect(f"cause-{number}", remedy="start it " * (length // 2 + 1), says=("word " * length,) * 5)
        for number in range(9)
    ]
    lines = screen(found(*causes), called)
    assert len(lines) <= 23, "the prompt comes below"
    assert [line for line in lines if line.startswith("1. cause-0: the title")]
    text = " ".join(" ".join(lines).split())
    assert " ".join(causes[0].remedy.split()) in text
    assert "call: dba: DBA, dba@example.com" in text


def test_what_says_nothing_new_is_counted_and_listed_by_v(called):
    lines = screen(found(suspect("database-down"), suspect("api-slow")), called)
    assert lines[0].startswith("examined: 10 services; 1 of 10 checks ran")
    assert "2. api-slow: the title of api-slow  (unavailable, api, weight 9)" in lines
    assert lines[-3:] == [
        "  ? 9 checks of database could not be made",
        "  ? not examined: 30 services",
        "  -v also shows: 2 observations, 9 checks, 30 services",
    ]
    assert "it answers after database-down" in "\n".join(lines)
    assert not [line for line in lines if "api-slow" in line and "answers" in line]
    assert "not true" not in "\n".join(lines), "the cause explains it"
    whole = " ".join(" ".join(screen(found(suspect("database-down"), suspect("api-slow")), called, verbose=True)).split())
    for text in ("service-9", "it answers after api-slow", f"check 8 could not be examined: {LONG}", "copy-29 (a standby)"):
        assert text in whole
    assert "-v" not in whole


def test_every_line_counts_the_same_checks_that_could_not_be_made(called):
    """A check that a diagnosis tree marks as optional raises no doubt, but it could not be made either."""
    made = found(suspect("database-down"), doubts=5)
    made = made.model_copy(update={"checks": (*made.checks, *(check("vectors", name, "not made") for name in "ab"))})
    lines = screen(made, called)
    assert "7 could not be made" in " ".join(lines[:2])
    assert "  ? 5 checks of database, 2 checks of vectors could not be made" in lines
    assert lines[-1].startswith("  -v also shows: 7 checks, ")
    assert "  not made: c0 of database, c1 of database, " in "\n".join(screen(made, called, verbose=True))


def test_checks_that_failed_for_one_reason_are_told_once_when_no_cause_was_found(called):
    lines = screen(found(), called)
    assert " ".join(" ".join(lines).split()).count(LONG) == 1
    assert "  ? database: check 0 and 8 more could not be examined: the server at" in lines
    assert "  ? api: not true: unit.ok" in lines
    assert "  dba: DBA, dba@example.com" in lines


def test_a_file_gets_every_cause(called):
    causes = [suspect(f"cause-{number}") for number in range(40)]
    assert told(found(*causes), called).count(": the title of ") == 40
