"""Schedules over time: what held at a moment, and what was overdue by it."""

from datetime import UTC, datetime, timedelta

import pytest

from drillbook.plan import schedule_terms
from drillbook.plan.schedule import Schedule
from drillbook.plan.schedule_terms import Proof, Service, Span, Subject, Term, Terms
from drillbook.values import Duration

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def day(number):
    return BEGIN + timedelta(days=number)


def every(days):
    return Schedule(every=Duration(days * 86400.0), grace=Duration(86400.0))


WEEK, MONTH = every(7), every(30)


def overdue(passes, *terms, today=None, now=None, end=40):
    known = Terms(tuple(Term(day(at), schedule) for at, schedule in terms), today, None if now is None else day(now))
    return [in_days(span) for span in schedule_terms.overdue([day(at) for at in passes], known, day(end))]


def in_days(span):
    return (span.since - BEGIN).days, None if span.until is None else (span.until - BEGIN).days


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (overdue([0], (0, WEEK)), [(8, None)]),
        (overdue([0, 5, 20], (0, WEEK), end=25), [(13, 20)]),
        (overdue([0], (0, MONTH), (15, WEEK)), [(15, None)]),
        (overdue([0], (0, MONTH), (3, WEEK)), [(8, None)]),
        (overdue([0], (0, WEEK), (15, MONTH)), [(8, 15), (31, None)]),
        (overdue([0], (0, WEEK), (15, every(5))), [(8, None)]),
        (overdue([0], (0, WEEK), (15, None), (20, WEEK)), [(8, 15), (20, None)]),
        (overdue([0, 16], (0, WEEK), (15, MONTH), (16, MONTH)), [(8, 15)]),
        (overdue([0], today=WEEK, now=40), [(8, None)]),
        (overdue([0], today=WEEK), [(8, None)]),
        (overdue([0]), []),
        (overdue([], (0, WEEK)), []),
        (overdue([0], (10, WEEK)), [(8, None)]),
    ],
    ids=str,
)
def test_a_schedule_holds_until_the_record_has_another_one(found, expected):
    assert found == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (overdue([0], (0, WEEK), today=WEEK, now=20, end=20), [(8, None)]),
        (overdue([0], (0, MONTH), today=WEEK, now=20, end=20), [(8, None)]),
        (overdue([0], (0, WEEK), today=MONTH, now=20, end=20), [(8, 20)]),
        (overdue([0], (0, WEEK), today=None, now=20, end=20), [(8, 20)]),
        (overdue([0], (0, None), today=WEEK, now=20, end=20), [(8, None)]),
        (overdue([0], (0, WEEK), (12, MONTH), today=WEEK, now=20, end=20), [(8, None)]),
    ],
    ids=str,
)
def test_of_a_change_that_is_not_in_the_record_both_schedules_count_until_now(found, expected):
    assert found == expected


def test_a_drill_has_never_passed_while_a_schedule_asks_for_a_run():
    terms = Terms((Term(day(0), None), Term(day(2), WEEK), Term(day(5), None)))
    assert [in_days(span) for span in schedule_terms.never(day(0), None, terms, day(9))] == [(2, 5)]
    assert [in_days(span) for span in schedule_terms.never(day(0), day(3), terms, day(9))] == [(2, 3)]
    assert [in_days(span) for span in schedule_terms.never(day(3), None, Terms((Term(day(3), WEEK),)), day(9))] == [
        (3, None)
    ]


def test_spans_end_where_it_no_longer_holds():
    held = {day(1), day(2), day(4), day(9)}
    found = schedule_terms.spans(map(day, range(20)), lambda moment: moment in held, day(9))
    assert found == [Span(day(1), day(3)), Span(day(4), day(5)), Span(day(9))]


def service(proofs, *subjects):
    made = [Proof(day(at), name, frozenset({name})) for at, name in proofs]
    return Service.of(made, subjects)


def subject(name, passes, schedule=WEEK, drills=(), gone=None):
    terms = Terms((Term(day(0), schedule),))
    return Subject(name, tuple(map(day, passes)), terms, frozenset(drills), None if gone is None else day(gone))


def old(found, listed=lambda _: True, end=30):
    return [in_days(span) for span in found.overdue(day(end), listed, [day(12)])]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (service([(0, "a")], subject("a", [0])), []),
        (service([(0, "a")], subject("a", [0, 6])), [(8, None)]),
        (service([(0, "a")], subject("a", [0, 11])), [(11, None)]),
        (service([(0, "a"), (20, "a")], subject("a", [0, 6, 20])), [(8, 20)]),
        (service([(0, "a")], subject("a", [0, 6]), subject("b", [2], MONTH)), [(8, None)]),
        (service([(0, "a"), (1, "b")], subject("a", [0, 6]), subject("b", [1, 3], every(10))), [(12, None)]),
        (service([(0, "a"), (1, "b")], subject("a", [0, 6]), subject("b", [1])), []),
        (service([(0, "a")], subject("all", [0, 6], drills=["a"]), subject("a", [0, 6], None)), [(8, None)]),
        (service([(0, "a")], subject("a", [0], gone=9), subject("b", [2])), [(9, None)]),
        (service([], subject("a", [0, 6])), []),
    ],
    ids=(
        "the drill itself is overdue",
        "passes without a proof",
        "the drill was overdue before",
        "until the next proof",
        "another drill never proved it",
        "the longer schedule of two proofs",
        "the other drill is overdue",
        "a suite and its drill",
        "a drill was renamed",
        "no proof at all",
    ),
)
def test_the_proof_of_a_service_is_overdue_once_its_drills_passed_without_one(found, expected):
    assert old(found) == expected


def test_an_exempt_service_needs_no_proof():
    assert old(service([(0, "a")], subject("a", [0, 6])), lambda moment: moment >= day(12)) == [(12, None)]
