"""Services that were never drilled: the audit names for each what to do, as `drill.due` does."""

from __future__ import annotations

from dataclasses import replace

from drillbook.audit import undrilled_services
from drillbook.audit.alert import AT_ONCE
from drillbook.audit.alert_causes import alerts
from drillbook.audit.missed_drills import NEVER_RAN, MissedRow
from drillbook.project.needed_inventories import Inventories, Listed
from drillbook.project.schedules import Scheduled
from drillbook.report import next_steps
from tests.audit.test_assurance import EMPTY
from tests.audit.test_chain import audited
from tests.audit.test_rehearsal_figures import rehearse

SOON = "in the next period"


def step(book, service="guestbook", kind="folder", drills=()):
    """Next step of the audit for ``service``, which no run drilled. ``drills``: drills of the project."""
    rehearse(book)
    audit = audited(book)
    bare = replace(audit.coverage[0], service=service, kind=kind, runs=0, gaps=("2026-01",))
    (found,) = [
        alert for alert in alerts(replace(audit, coverage=(bare,), drills=tuple(drills))) if "never drilled" in alert.text
    ]
    assert found.otherwise == f"; or {next_steps.EXEMPT}", (
        "the audit names the other choice, and the summary has no room for it"
    )
    return found.step


def test_a_drill_of_the_project_that_never_ran_is_run(book):
    drills = [
        Scheduled("a-fault", services=("guestbook",)),
        Scheduled("rehearse-guestbook", services=("guestbook",), environments=("lab",), restores=True),
        Scheduled("everything", suite=True, services=("guestbook",), restores=True),
        Scheduled("elsewhere", services=("guestbook",), environments=("prod",), restores=True),
    ]
    assert step(book, drills=drills) == "run `drillbook drill rehearse-guestbook`"


def test_a_shipped_drill_is_copied_if_the_project_has_none(book):
    expected = "copy a drill for the service guestbook: `drillbook init --with rehearse-guestbook`"
    assert step(book, drills=[Scheduled("other", services=("site",))]) == expected


def test_a_drill_is_written_for_a_kind_without_a_shipped_one(book):
    assert step(book, service="backups", kind="") == "write a drill for the service backups"


def test_a_drill_that_needs_another_inventory_is_run_with_it():
    """A command that would end with "not run here" is no next step: it names its inventory, or what must be installed."""
    drill = Scheduled("rehearse-volume", services=("volume",), uses=frozenset(["volume"]), environments=("lab",))
    lab = Listed("lab", "lab", True, frozenset(["volume"]), {"volume": "the Docker lab"})
    docker = Listed("docker", "lab", True, frozenset(["volume"]))
    audit = replace(EMPTY, drills=(drill,), inventories=Inventories("lab", (lab, docker)))
    expected = "run `drillbook drill rehearse-volume --inventory docker` (needs the inventory docker)"
    assert undrilled_services.step(audit, "lab", ["volume"], SOON)[0] == expected
    audit = replace(audit, inventories=Inventories("lab", (lab,)))
    expected = "run `drillbook drill rehearse-volume` (needs an installation of the Docker lab)"
    assert undrilled_services.step(audit, "lab", ["volume"], SOON)[0] == expected


def test_a_drill_that_could_only_fail_in_the_lab_is_not_run_there():
    drill = Scheduled("routine-database", services=("database",), environments=("lab",), restores=True)
    lab = Listed("lab", "lab", True, frozenset(["database"]))
    audit = replace(EMPTY, drills=(drill,), inventories=Inventories("lab", (lab,)))
    assert "routine-database" not in undrilled_services.step(audit, "lab", ["database"], SOON)[0]
    own = replace(audit, inventories=Inventories("lab", (replace(lab, is_lab=False),)))
    assert undrilled_services.step(own, "lab", ["database"], SOON)[0] == "run `drillbook drill routine-database`"


def test_a_drill_to_copy_is_named_with_the_inventory_that_it_needs(book):
    rehearse(book)
    audit = audited(book)
    bare = replace(audit.coverage[0], service="guestbook", kind="folder", runs=0)
    lab = Listed("lab", "lab", True, frozenset(["guestbook"]), {"guestbook": "the Docker lab"})
    docker = Listed("docker", "lab", True, frozenset(["guestbook"]))
    audit = replace(audit, coverage=(bare,), inventories=Inventories("lab", (lab, docker)))
    said = undrilled_services.step(audit, bare.environment, ["guestbook"], SOON)[0]
    run = "`drillbook drill rehearse-guestbook --inventory docker`"
    assert f"copy a drill for the service guestbook: `drillbook init --with rehearse-guestbook`, then {run}" in said


def test_drills_that_are_due_already_have_no_second_deadline(book):
    """The alert about drills that never ran asks for them at once."""
    rehearse(book)
    audit = audited(book)
    bare = replace(audit.coverage[0], service="guestbook", kind="folder", runs=0, gaps=("2026-01",))
    drill = Scheduled("rehearse-guestbook", services=("guestbook",), restores=True)
    late = MissedRow(NEVER_RAN, "lab, staging", "", drill.name, "", "", "", "", "drills/")
    audit = replace(audit, coverage=(bare,), drills=(drill,), missed=(late,))
    assert undrilled_services.step(audit, "lab", ["guestbook"], SOON)[1] == AT_ONCE
    other = replace(bare, service="other", kind="")
    audit = replace(audit, coverage=(bare, other))
    (alert,) = [alert for alert in alerts(audit) if "never drilled" in alert.text]
    assert alert.text.startswith("The services guestbook and other were never drilled")
    assert alert.step == "run `drillbook drill rehearse-guestbook`; write a drill for the service other"
    assert alert.when == f"{AT_ONCE}; other drills to copy or write {SOON}"
    elsewhere = replace(audit, missed=(replace(late, environment="staging", elsewhere="lab"),))
    assert undrilled_services.step(elsewhere, "lab", ["guestbook", "other"], SOON)[1] == SOON
    later = replace(drill, name="rehearse-other", services=("other",))
    known = replace(audit, drills=(drill, later))
    expected = f"{AT_ONCE} for rehearse-guestbook; the others {SOON}"
    assert undrilled_services.step(known, "lab", ["guestbook", "other"], SOON)[1] == expected
