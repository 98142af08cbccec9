"""Records of runs with given steps, for what only the results of steps decide."""

from __future__ import annotations

import json

from drillbook.audit.records import Record
from drillbook.events.event import Event
from drillbook.judge.result import StepResult
from tests.report import samples


def record(*steps, plan=None, **more):
    told = [
        StepResult.model_validate(
            {"id": id_, "action": action, "host": "h", "status": "done", "seconds": 1.0, "facts": facts}
        )
        for id_, action, facts in steps
    ]
    return Record("r", "", 0, first=opening(plan), result=samples.result(steps=tuple(told), **more))


def opening(plan):
    """First event of a real run, with a different plan."""
    told = json.loads((samples.JOURNALS / "passed.jsonl").read_text().partition("\n")[0])
    return Event.model_validate({**told, "data": {**told["data"], "plan": plan}}) if plan else None


RESTORED = ("restore.1", "backup.restore", {"backup": {"id": "dump"}})


CHECKED = ("restore.1", "backup.check", {"backup": {"id": "dump"}})
