"""Notes of a run about its locks, leases and guards."""

from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, SAMPLES, Story


def test_what_a_run_noted_of_its_locks_and_guards_is_a_finding_and_a_note(tmp_path):
    story = Story(tmp_path).add(
        0.1, "lock.taken", None, "app-1", name="api", token=2, services=["api"], taken_from={"run": "r0", "operator": "ann"}
    )
    view = story.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery().end().judge()
    assert [(one.code, one.host) for one in view.result.findings] == [("lock-taken-over", "app-1")]
    assert [(note.kind, note.loud) for note in view.notes] == [("lock.taken", True)]
    assert view.result.verdict is Verdict.PASSED


def test_the_release_of_a_lock_and_the_end_of_a_lease_are_notes(tmp_path):
    story = Story(tmp_path).add(
        0.1, "lock.taken", None, "app-1", name="unit-api", token=2, services=["api"], taken_from=None
    )
    story = story.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery()
    story.add(90.0, "lock.released", None, "app-1", name="unit-api", token=2)
    story.add(90.1, "lease.log", None, "app-1", file="evidence/lease.app-1.log", sha256="0" * 64, bytes=0)
    story.add(90.2, "lease.log", None, "app-2", error="disk full")
    told = [note.text for note in story.end().judge().notes]
    assert told == [
        "lock on api taken (token 2)",
        "lock on api released",
        "lease ended, and is no longer armed; the target's own log of the lease was stored: evidence/lease.app-1.log",
        "lease ended, and is no longer armed; the target's own log of the lease could not be stored: disk full",
    ]
