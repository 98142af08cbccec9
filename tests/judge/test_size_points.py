"""Size of a service and duration of its restore, as one point."""

import pytest

from drillbook.judge.capacity import points
from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, DRILL, SAMPLES, Story, started
from tests.plan.test_planner import HOSTS


def sized(tmp_path, verify="done", rto="5s"):
    """Run that measured the size of its service."""
    story = started(tmp_path, DRILL.replace("rto: 5s", f"rto: {rto}")).recovery(verify=verify).end()
    result = story.judge().result
    size = {
        "id": "ready.1",
        "action": "capacity.collect",
        "host": "app-1",
        "status": "done",
        "seconds": 0.1,
        "facts": {"service": "api", "bytes": 1000, "items": 10, "unit": "rows"},
    }
    return result.model_copy(update={"steps": (type(result.steps[0]).model_validate(size), *result.steps)})


@pytest.mark.parametrize(
    ("verify", "rto", "counts"),
    [
        ("done", "5s", True),
        ("done", "2s", True),
        ("done", "2420ms", False),
        ("unverified", "5s", False),
        ("failed", "5s", False),
    ],
)
def test_a_size_goes_with_a_time_only_where_that_was_measured_and_verified(tmp_path, verify, rto, counts):
    (one,) = points(sized(tmp_path, verify, rto))
    assert (one.run, one.service, one.bytes, one.items) == ("r1", "api", 1000, 10)
    assert (one.rto_s, one.restore_s) == ((pytest.approx(2.41), pytest.approx(1.0)) if counts else (None, None))


def test_a_size_without_an_objective_or_of_a_run_that_was_stopped_has_no_time(tmp_path):
    result = sized(tmp_path)
    for other in ({"objectives": {}}, {"verdict": Verdict.ABORTED}):
        (one,) = points(result.model_copy(update=other))
        assert (one.bytes, one.rto_s, one.restore_s) == (1000, None, None)


def test_how_a_service_grows_is_told_by_this_run_and_those_that_its_journal_holds(tmp_path):
    earlier = [
        {
            "run": f"r-{day}",
            "at": f"2025-12-{day:02d}T00:00:00.000000Z",
            "drill": "sample",
            "service": "api",
            "bytes": day * 100,
            "rto_s": day / 10,
            "restore_s": day / 20,
        }
        for day in range(1, 9)
    ]
    measure = "  - capacity.collect: {service: files}\n"
    hosts = HOSTS.replace("contacts:", "  files: {kind: redis, host: db-1}\ncontacts:")
    story = Story(tmp_path, DRILL.replace("inject:\n", f"ready:\n{measure}inject:\n"), hosts)
    story.add(0.1, "capacity.history", points=[{**one, "service": "files"} for one in earlier[:4]])
    story.add(0.2, "capacity.history", points=[{**one, "service": "files"} for one in earlier[4:]])
    story.step(0.3, 0.4, "ready.1", "db-1", service="files", bytes=4000, items=10)
    (one,) = story.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery().end().judge().result.capacity
    assert (one.service, one.points, one.since, one.bytes, one.rto_target_s) == (
        "files",
        9,
        "2025-12-01T00:00:00.000000Z",
        4000,
        5.0,
    )
    assert one.growth_bytes_per_day == pytest.approx(123, abs=5)
