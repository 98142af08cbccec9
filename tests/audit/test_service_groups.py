"""Groups of services by the state of their recovery."""

from drillbook.audit import service_groups
from drillbook.audit.service_groups import Group
from drillbook.report import remarks


def test_every_group_has_a_title_a_name_and_a_sign():
    assert set(service_groups.TITLES) == set(service_groups.NAMES) == set(service_groups.SIGNS) == set(Group)
    assert min(Group) is Group.FAILED
    assert max(Group) is Group.PROVEN


def test_only_the_groups_that_are_shown_are_explained_and_always_the_best_one():
    assert [name for name, _ in service_groups.rules((), "")] == ["Fully proven"]
    names = [name for name, _ in service_groups.rules({Group.NOT_RUN, Group.REHEARSED, Group.FAILED}, "")]
    assert sorted(names) == ["Fully proven", "Not run here", "Rehearsed only"]


def test_a_reservation_is_explained_by_the_reasons_that_its_marks_have():
    for reasons in ((remarks.FRESH,), (remarks.FRESH, remarks.UNKNOWN)):
        marks = "".join(mark for mark, reason in remarks.REASONS.items() if reason in reasons)
        (said,) = [text for name, text in service_groups.rules({Group.RESERVED}, marks) if name == "With a reservation"]
        told = [text for text in service_groups.REASONS.values() if text.lower() in said.lower()]
        assert told == [service_groups.REASONS[reason] for reason in reasons]
