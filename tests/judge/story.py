"""A run as a story: the events of a journal, written one by one, and what the judge makes of them."""

from drillbook.journal.journal import Event, History
from drillbook.judge.judge import judge
from tests.contents import filled
from tests.plan.test_planner import HOSTS, made

DRILL = """\
drill: sample
title: A sample
service: api
objectives: {rto: 5s, rpo: 1s, detect: 1s}
probes:
  - http.available: {url: "{{ services.api.url }}"}
inject:
  - service.kill: {service: api}
restore:
  - service.start: {service: api}
verify:
  - http.responds: {url: "{{ services.api.url }}"}
"""


class Story:
    """Writes the events of a run; `good()` is a complete, successful run."""

    def __init__(self, tmp_path, drill=DRILL, hosts=HOSTS):
        self.plan = made(tmp_path, drill=drill, hosts=hosts)
        self.events = []
        self.add(
            0.0,
            "run.started",
            run="r1",
            plan=self.plan.model_dump(mode="json"),
            plan_digest=self.plan.digest,
            tool="drillbook",
            operator="me",
            controller="here",
        )

    def add(self, clock, kind, step=None, host=None, /, **data):
        self.events.append(
            Event(
                seq=len(self.events),
                at=f"2026-01-01T00:00:{int(clock):02d}.000000Z",
                clock=clock,
                kind=kind,
                step=step,
                host=host,
                data=filled(kind, data),
                prev=None,
                hash=f"sha256:{len(self.events)}",
            )
        )
        return self

    def change(self, index, **data):
        """Replace the ``data`` of the event ``index``."""
        event = self.events[index].model_dump()
        self.events[index] = Event.model_validate({**event, "data": event["data"] | data})

    def step(self, start, end, step, host, outcome="done", effect="read", undo=None, **data):
        action = next(one.action for one in self.plan.steps if one.id == step)
        self.add(
            start, "step.started", step, host, action=action, phase=step.split(".")[0], name="", effect=effect, params={}
        )
        if undo:
            self.add(start, "intent", step, host, action=action, params={"service": "api"}, effect=effect, undo=undo)
        if outcome == "done":
            return self.add(end, "done", step, host, facts=data, seconds=end - start, attempts=1)
        return self.add(
            end,
            "failed",
            step,
            host,
            outcome=outcome,
            code="x",
            message="it broke",
            findings=[],
            facts={},
            seconds=end - start,
            attempts=1,
            allowed=data.get("allowed"),
        )

    def phase(self, start, end, name, status="done"):
        self.add(start, "phase.started", phase=name)
        return self.add(end, "phase.ended", phase=name, status=status)

    def availability(self, *samples):
        self.add(
            0.0, "probe.started", probe="probe.1", name="http.available", kind="availability", every_s=0.1, timeout_s=1.0
        )
        return self.add(20.0, "probe.samples", probe="probe.1", samples=[list(sample) for sample in samples], late=0)

    def canary(self, acknowledged, survivors, error=None, doubt=(), lost=()):
        self.add(0.0, "probe.started", probe="probe.2", name="postgres.canary", kind="canary", every_s=0.05, timeout_s=1.0)
        self.add(20.0, "canary.writes", probe="probe.2", acknowledged=acknowledged, in_doubt=list(doubt), lost=list(lost))
        if error:
            return self.add(20.0, "canary.survivors", probe="probe.2", error=error)
        return self.add(20.0, "canary.survivors", probe="probe.2", ranges=survivors, count=0)

    def fault(self, active=True):
        undo = {"kind": "commands", "commands": [["start"]], "action": "", "params": {}, "why": ""}
        self.add(9.9, "phase.started", phase="inject")
        self.step(10.0, 10.2, "inject.1", "app-1", effect="fault", undo=undo)
        self.add(10.2, "phase.ended", phase="inject", status="done")
        return self.add(10.2, "fault.active", "inject.1", "app-1", active=active, detail="")

    def recovery(self, restore="done", verify="done"):
        self.add(11.0, "phase.started", phase="restore")
        self.step(11.0, 12.0, "restore.1", "app-1", restore, effect="write")
        self.add(12.0, "phase.ended", phase="restore", status="done" if restore == "done" else "failed")
        self.add(12.0, "phase.started", phase="verify")
        self.step(12.5, 13.0, "verify.1", "controller", verify)
        return self.add(14.0, "phase.ended", phase="verify", status="done" if verify == "done" else "failed")

    def end(self, residue=()):
        return self.add(21.0, "run.finished", residue=list(residue))

    def good(self):
        return self.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery().end()

    def judge(self):
        return judge(History(tuple(self.events), torn=False))


DROPPED = """\
drill: sample
title: A table is dropped
service: database
guard: {environments: [lab]}
backup:
  - postgres.dump: {service: database, to: "s3://bucket/dump"}
    save: dump
  - postgres.backup_intact: {service: database, from: "{{ dump.location }}"}
inject:
  - postgres.drop_table: {service: database, table: public.t}
restore:
  - postgres.restore_table: {service: database, table: public.t, from: "{{ dump.location }}", closed: true}
verify:
  - postgres.matches: {service: database, manifest: "{{ dump.manifest }}"}
"""
DATABASE = HOSTS.replace(
    "contacts:",
    "  database: {kind: postgres, host: db-1, data_directory: /pg, user: u, database: d, password: !env PG, admin: {user: a, password: !env PG}}\n"
    "contacts:",
)


def killed_before_its_restore(tmp_path, *, proven=True):
    """A run that dropped a table from the controller, and whose controller died while it restored the table."""
    story = Story(tmp_path, drill=DROPPED, hosts=DATABASE)
    if proven:
        place = {"service": "database", "location": "s3://bucket/dump#sha256=12", "proof": "postgres.backup_intact"}
        story.add(9.0, "backup.proven", "inject.1", "controller", **place)
    lost = {"kind": "restore", "commands": [], "action": "", "params": {}, "why": "the table is dropped"}
    admit = {**lost, "kind": "action", "action": "postgres.admit_table", "params": {"service": "database"}, "why": ""}
    for step, host, effect, undo in (("inject.1", "controller", "fault", lost), ("restore.1", "db-1", "write", admit)):
        action = next(one.action for one in story.plan.steps if one.id == step)
        story.add(10.0, "step.started", step, host, action=action, phase=step[:-2], name="", effect=effect, params={})
        story.add(10.0, "intent", step, host, action=action, params={"service": "database"}, effect=effect, undo=undo)
    return story


def grid(first, last, ok, every=0.1, takes=0.01):
    count = round((last - first) / every)
    return [(first + n * every, first + n * every + takes, ok, None if ok else "refused") for n in range(count)]


SAMPLES = [*grid(5.0, 10.1, True), *grid(10.1, 12.4, False), *grid(12.4, 16.0, True)]


ACKS = [[n, n * 0.05, n * 0.05 + 0.003] for n in range(1, 401)]


def codes(result):
    return {one.code for one in result.findings}


def slept(story, *told):
    """Add the duration of the controller's suspension to the events of these indexes."""
    for index, seconds in told:
        story.change(index, slept_s=seconds)
    return story.judge().result


COMMANDS = {"kind": "commands", "commands": [["start", "api"], ["wait"]], "action": "", "params": {}, "why": ""}


def started(tmp_path, drill=DRILL):
    return Story(tmp_path, drill).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])


def view(story, step, host):
    (one,) = [one for one in story.judge().steps if (one.result.id, one.result.host) == (step, host)]
    return one
