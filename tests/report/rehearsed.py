"""A run that rehearsed a restore, with the loss that it measured."""

from drillbook.judge.result import Timeline
from tests.report import samples

BACKUP = {"id": "www-1.tar.gz", "taken_at": "2026-01-02T09:59:58.000Z", "basis": "time of the file"}


RESTORED = {
    "backup": BACKUP,
    "seconds": {"unpack": 0.52, "total": 0.61},
    "used_bytes": 3 << 20,
    "isolation": "namespace",
    "unreachable": ["10.0.0.1:5432", "10.0.0.2:6379"],
}


CHECKED = {"covered": ["every byte was read", "the end is there"], "not_covered": ["<a file> that is missing"]}


NO_FAULT = "no fault was injected"


def view(*, loss_s=12.34, error_s=1.0, basis="time of the file", status="done", faults=(), restored=None):
    steps = (
        samples.step("backup.1", "backup.check", facts=CHECKED),
        samples.step("restore.1", "backup.restore", status=status, facts=RESTORED | (restored or {})),
        samples.step("verify.1", "backup.measure", facts={"loss_s": loss_s, "error_s": error_s, "basis": basis}),
    )
    clocks = dict.fromkeys(samples.passed().result.clocks) | {"restore_s": 0.7, "waiting_s": 0.0}
    result = samples.result(
        steps=tuple(one.result for one in steps),
        objectives={},
        clocks=clocks,
        unmeasured={key: NO_FAULT for key, value in clocks.items() if value is None},
        findings=(),
        faults=faults,
    )
    return samples.view(result, steps=steps, timeline=Timeline(seconds=20.6, phases=(), probes=(), marks={}))
