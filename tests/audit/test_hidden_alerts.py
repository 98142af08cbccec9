"""Last line of a list of alerts, about those that the page leaves out."""

from __future__ import annotations

from drillbook.audit import hidden_alerts
from drillbook.audit.alert import AT_ONCE, NEXT_RUN, NOBODY, Alert, Topic


def test_alerts_that_are_left_out_have_a_next_step_a_person_and_a_time_limit():
    known = [
        Alert("a", "", who="dba", when=AT_ONCE, severity=severity, topic=Topic.FINDINGS)
        for severity in ("medium", "high", "medium")
    ]
    others = [
        Alert("a", "", when=AT_ONCE, topic=Topic.NEVER_RAN),
        Alert("a", "", who=NOBODY, when=NEXT_RUN, topic=Topic.RESERVED),
        Alert("a", "", when="by 2026-12-31", topic=Topic.NEVER_RAN),
    ]
    again = "mend what the report names, then run the drill again"
    assert hidden_alerts.told([*known, *others]) == (
        f"1 with a high finding ({again}; dba; at once), 2 with a medium finding ({again}; dba; at once), "
        "drills that never ran (run what never ran; drill owners; at once or by 2026-12-31), "
        "figures with reservations (run a drill that restores a routine backup; no owner named; before its next run)"
    )


def test_alerts_of_different_owners_are_for_their_owners():
    both = [Alert("a", "", who=who, when=AT_ONCE, severity="high", topic=Topic.FINDINGS) for who in ("dba", "ops")]
    assert hidden_alerts.told(both).endswith("again; their owners; at once)")
    assert hidden_alerts.told([]) == ""
