"""The judge: the view of each step, objective, finding and residue, by tables of small journals."""

import pytest

from drillbook.errors import JournalError
from drillbook.judge.capacity import points
from drillbook.judge.comparison import reduced
from drillbook.judge.result import Verdict
from tests.judge.test_judge import ACKS, DRILL, SAMPLES, Story, codes, grid
from tests.plan.test_planner import HOSTS

COMMANDS = {"kind": "commands", "commands": [["start", "api"], ["wait"]], "action": "", "params": {}, "why": ""}
EVERYWHERE = DRILL.replace(
    "restore:\n", "restore:\n  - command.run: {argv: [look], effect: read}\n    hosts: [app-1, db-1]\n    name: Look\n"
)


def started(tmp_path, drill=DRILL):
    return Story(tmp_path, drill).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])


def view(story, step, host):
    (one,) = [one for one in story.judge().steps if (one.result.id, one.result.host) == (step, host)]
    return one


@pytest.mark.parametrize("kind", ["phase.started", "step.started"])
def test_what_is_no_journal_of_a_run_is_refused(tmp_path, kind):
    story = started(tmp_path)
    story.events[0] = next(event for event in story.events if event.kind == kind)
    with pytest.raises(JournalError, match=f"begins with the event '{kind}'"):
        story.judge()


def test_a_step_is_shown_on_the_hosts_on_which_it_began_and_on_all_where_it_did_not(tmp_path):
    story = started(tmp_path, EVERYWHERE).step(11.0, 11.5, "restore.1", "db-1", stdout="there")
    assert [(one.result.id, one.result.host, one.result.status) for one in story.judge().steps] == [
        ("inject.1", "app-1", "done"),
        ("restore.1", "db-1", "done"),
        ("restore.2", "app-1", "skipped"),
        ("verify.1", "controller", "skipped"),
    ]
    story.events = story.events[:-2]
    assert [one.result.host for one in story.judge().steps if one.result.id == "restore.1"] == ["app-1", "db-1"]


def test_what_a_step_did_on_one_host_is_not_told_of_another(tmp_path):
    story = started(tmp_path, EVERYWHERE).step(11.0, 11.5, "restore.1", "db-1", stdout="there")
    story.add(
        11.2, "step.started", "restore.1", "app-1", action="command.run", phase="restore", name="", effect="read", params={}
    )
    ran = {"exit": 0, "signal": None, "seconds": 0.1, "stdout": "", "stderr": "", "stdout_bytes": 0, "stderr_bytes": 0}
    for host, word in (("db-1", "one"), ("app-1", "two"), ("db-1", "three")):
        story.add(11.3, "command", "restore.1", host, argv=[word], **ran)
    one, other = view(story, "restore.1", "db-1"), view(story, "restore.1", "app-1")
    assert (one.result.status, one.result.seconds, one.result.facts, one.start) == ("done", 0.5, {"stdout": "there"}, 11.0)
    assert [command.argv for command in one.commands] == [("one",), ("three",)]
    assert (other.result.status, other.result.seconds, other.result.facts, other.start) == ("unknown", None, {}, 11.2)
    assert [command.argv for command in other.commands] == [("two",)]
    assert (one.name, one.phase, str(one.effect), one.params) == (
        "Look",
        "restore",
        "read",
        {"argv": ["look"], "effect": "read"},
    )


@pytest.mark.parametrize(
    ("outcome", "allowed", "status"),
    [
        ("done", None, "done"),
        ("failed", None, "failed"),
        ("unverified", None, "unverified"),
        ("cancelled", None, "cancelled"),
        ("failed", "never mind", "allowed"),
        ("error", "never mind", "allowed"),
    ],
)
def test_how_a_step_ended(tmp_path, outcome, allowed, status):
    story = started(tmp_path).step(11.0, 12.0, "restore.1", "app-1", outcome, **({"allowed": allowed} if allowed else {}))
    assert (one := view(story, "restore.1", "app-1")).result.status == status
    assert one.message == ("" if outcome == "done" else "it broke")


def test_a_step_that_was_left_out_says_why_and_one_that_failed_what_broke(tmp_path):
    story = started(tmp_path).add(11.0, "skipped", "restore.1", why="when: false")
    assert (view(story, "restore.1", "app-1").message, view(story, "verify.1", "controller").message) == ("when: false", "")


@pytest.mark.parametrize(
    ("undo", "text"),
    [
        (COMMANDS, "start api; wait"),
        (
            {**COMMANDS, "kind": "action", "action": "service.start", "params": {"service": "api"}},
            "service.start {'service': 'api'}",
        ),
        ({**COMMANDS, "kind": "restore", "why": "the data is gone"}, "only by a restore: the data is gone"),
        ({**COMMANDS, "kind": "nothing", "why": "it stays"}, "nothing: it stays"),
        (None, ""),
    ],
)
def test_how_a_step_can_be_put_back(tmp_path, undo, text):
    story = started(tmp_path).step(11.0, 12.0, "restore.1", "app-1", effect="write", undo=undo)
    assert view(story, "restore.1", "app-1").undo == text


def test_how_a_step_was_put_back_in_the_run_or_later(tmp_path):
    story = started(tmp_path)
    intent = next(event.seq for event in story.events if event.kind == "intent")
    assert view(story, "inject.1", "app-1").undone == ""
    story.add(15.0, "undo.failed", "inject.1", "app-1", intent=intent, message="it is stuck")
    assert view(story, "inject.1", "app-1").undone == "not undone: it is stuck"
    story.end().add(0.0, "recovery.started", operator="me", tool="drillbook")
    story.add(1.0, "undone", "inject.1", "app-1", intent=intent, message="undone")
    story.add(2.0, "undone", "inject.1", "db-1", intent=99, message="of another host")
    assert view(story, "inject.1", "app-1").undone == "put back: undone"
    assert view(story, "restore.1", "app-1").undone == ""


def test_phases_with_their_times_and_the_one_in_which_a_controller_died(tmp_path):
    story = started(tmp_path).phase(11.0, 12.5, "restore", "failed").add(13.0, "phase.started", phase="verify")
    assert [(one.phase, one.status, one.seconds) for one in story.judge().result.phases] == [
        ("inject", "done", pytest.approx(0.3)),
        ("restore", "failed", 1.5),
        ("verify", "interrupted", 0.0),
    ]


def test_the_head_of_a_view(tmp_path):
    drill = DRILL.replace("service: api\n", "service: api\nowner: dba\n", 1)
    story = started(tmp_path, drill).recovery().end()
    whole = story.judge()
    result = whole.result
    assert (result.run, result.drill, result.title, result.service, result.environment) == (
        "r1",
        "sample",
        "A sample",
        "api",
        "lab",
    )
    assert (result.operator, result.tool, result.plan_digest) == ("me", "drillbook", story.plan.digest)
    assert (whole.owner, whole.controller, whole.torn) == ("dba", "here", False)
    assert (whole.journal_events, whole.journal_head) == (len(story.events), story.events[-1].hash)
    assert whole.contacts == {"dba": {"role": "DBA", "duty": "", "email": "dba@example.com", "phone": ""}}
    assert whole.plan == story.plan.model_dump(mode="json")
    assert (result.started, result.finished) == ("2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:21.000000Z")
    story.add(30.0, "recovery.started", operator="me", tool="drillbook").add(40.0, "recovery.finished", residue=[])
    story.add(41.0, "note")
    assert story.judge().result.finished == "2026-01-01T00:00:40.000000Z", "the last end counts"
    story.events = story.events[:5]
    assert story.judge().result.finished is None


def test_where_the_verification_did_not_pass_only_what_detects_counts(tmp_path):
    result = started(tmp_path).recovery(verify="unverified").end().judge().result
    assert {key: one.met for key, one in result.objectives.items()} == {"rto": None, "rpo": None, "detect": True}
    for key in ("rto", "rpo"):
        assert result.objectives[key].reason == "the verification did not pass (verify.1)"
        assert result.objectives[key].measured_s is not None, "it was measured all the same"
    assert result.objectives["detect"].reason is None


def test_an_objective_that_has_a_reason_of_its_own_keeps_it(tmp_path):
    story = (
        Story(tmp_path)
        .fault()
        .availability(*SAMPLES)
        .canary(ACKS, [], error="no server")
        .recovery(verify="unverified")
        .end()
    )
    objectives = story.judge().result.objectives
    assert objectives["rpo"].reason == "the canary could not be read back: no server"
    assert objectives["rto"].reason == "the verification did not pass (verify.1)"
    assert (objectives["rpo"].lost_writes, objectives["rpo"].acknowledged_writes) == (None, None)


@pytest.mark.parametrize(("target", "met"), [("2s", False), ("2410ms", None), ("2519ms", None), ("2521ms", True)])
def test_an_objective_is_met_with_its_error_or_not_at_all(tmp_path, target, met):
    """The value was 2.41 s with an error of 0.11 s."""
    one = started(tmp_path, DRILL.replace("rto: 5s", f"rto: {target}")).recovery().end().judge().result.objectives["rto"]
    assert one.met is met
    assert (one.target_s, one.measured_s, one.error_s) == (
        float(target.removesuffix("ms")) / 1000 if "ms" in target else 2.0,
        pytest.approx(2.41),
        pytest.approx(0.11),
    )
    assert ("only when its error of 0.110 s is ignored" in (one.reason or "")) is (met is None)


def test_every_objective_names_its_clock(tmp_path):
    objectives = started(tmp_path).recovery().end().judge().result.objectives
    assert {key: one.clock for key, one in objectives.items()} == {
        "rto": "disruption to sustained recovery",
        "rpo": "acknowledged writes",
        "detect": "disruption to the end of the first bad sample",
    }
    assert {key: one.acknowledged_writes for key, one in objectives.items()} == {"rto": None, "rpo": 199, "detect": None}


@pytest.mark.parametrize(
    ("tell", "reason"),
    [
        (lambda story: story, "the verification did not run"),
        (lambda story: story.add(12.0, "phase.started", phase="verify"), "the verification did not run"),
        (lambda story: story.phase(12.0, 14.0, "verify"), "the verification verify.1 was skipped ()"),
    ],
)
def test_without_its_verification_no_drill_passes_also_where_it_has_no_objective(tmp_path, tell, reason):
    head, _, rest = DRILL.replace("{rto: 5s, rpo: 1s, detect: 1s}", "{}").partition("probes:\n")
    story = Story(tmp_path, f"{head}inject:{rest.partition('inject:')[2]}").fault().phase(11.0, 12.0, "restore")
    result = tell(story).end().judge().result
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize("objectives", ["{rto: 5s, rpo: 1s, detect: 1s}", "{}"])
def test_what_was_restored_from_a_backup_that_nobody_vouches_for_is_not_verified(tmp_path, objectives):
    """The restore continues, because a fault is active; this does not prove that it restored the lost data."""
    story = Story(tmp_path, DRILL.replace("{rto: 5s, rpo: 1s, detect: 1s}", objectives)).good()
    assert story.judge().result.verdict is Verdict.PASSED
    done = next(event for event in story.events if (event.kind, event.step) == ("done", "restore.1"))
    story.change(done.seq, facts={"unvouched": "it is not signed"})
    result = story.judge().result
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "restore.1 used a backup that has no trusted signature" in result.reason


ALERT = DRILL.replace(
    "restore:\n",
    "detect:\n  - prometheus.alert_fires: {service: metrics, alert: Down, within: 5s}\n"
    "  - prometheus.alert_fires: {service: metrics, alert: Slow, within: 5s}\nrestore:\n",
    1,
)


def watched(tmp_path):
    server = '  metrics: {kind: prometheus, host: db-1, url: "http://127.0.0.1:9090"}\n'
    return (
        Story(tmp_path, ALERT, HOSTS.replace("contacts:", f"{server}contacts:"))
        .fault()
        .availability(*SAMPLES)
        .canary(ACKS, [[1, 400]])
    )


def test_where_an_alert_is_expected_it_is_what_detects(tmp_path):
    story = watched(tmp_path)
    for step, alert, ago in (("detect.1", "Down", 0.5), ("detect.2", "Slow", 0.25)):
        story.add(11.0, "alert.firing", step, "db-1", alert=alert, ago_s=ago, error_s=0.25)
    one = story.recovery().end().judge().result.objectives["detect"]
    assert one.clock == "disruption to the expected alert"
    assert (one.measured_s, one.error_s, one.met) == (0.75, 0.25, True), "the last of them, and just within its second"


def test_an_alert_that_did_not_come_misses_its_objective_without_a_time(tmp_path):
    story = watched(tmp_path)
    story.add(10.9, "alert.absent", "detect.1", "db-1", alert="Down", message="Down did not fire within 5 s")
    result = story.recovery().end().judge().result
    assert (result.objectives["detect"].met, result.objectives["detect"].measured_s) == (False, None)
    (missed,) = [one for one in result.findings if one.code == "objective-missed"]
    assert (missed.title, missed.wanted, missed.measured) == (
        "An objective was missed: DETECT",
        "at most 1 s",
        "Down did not fire within 5 s",
    )
    assert result.verdict is Verdict.FAILED


def test_findings_of_objectives_say_what_was_wanted_and_measured(tmp_path):
    drill = DRILL.replace("rto: 5s", "rto: 2s").replace("detect: 1s", "detect: 10ms")
    story = Story(tmp_path, drill).fault().availability(*SAMPLES).canary(ACKS, [], error="no server").recovery().end()
    told = {
        one.title: (one.code, one.wanted, one.measured)
        for one in story.judge().result.findings
        if one.code.startswith("objective-")
    }
    assert told == {
        "An objective was missed: RTO": ("objective-missed", "at most 2 s", "2.410 s"),
        "An objective was missed: DETECT": ("objective-missed", "at most 0.01 s", "0.110 s"),
        "An objective could not be verified: RPO": (
            "objective-not-verified",
            "at most 1 s",
            "not measured: the canary could not be read back: no server",
        ),
    }


def test_a_run_that_ended_early_after_the_fault_says_what_that_means_for_its_objectives(tmp_path):
    story = started(tmp_path).add(11.0, "ended.early", why="failed", message="a guard stopped it", findings=[])
    result = story.end().judge().result
    assert (result.verdict, result.reason) == (Verdict.FAILED, "a guard stopped it")
    assert "objective-not-verified" in codes(result)
    story = Story(tmp_path).availability(*SAMPLES).canary(ACKS, [[1, 400]]).end()
    assert "objective-not-verified" in codes(story.judge().result), "and so does one without a fault that did not end early"


@pytest.mark.parametrize(
    ("step", "why", "told"),
    [("verify.1", "when: false", True), ("verify.1", "the run was stopped", False), ("restore.1", "when: false", False)],
)
def test_only_a_verification_that_its_condition_left_out_is_a_finding(tmp_path, step, why, told):
    result = started(tmp_path).add(11.0, "skipped", step, why=why).end().judge().result
    assert [(one.step, one.measured) for one in result.findings if one.code == "verification-skipped"] == (
        [(step, why)] if told else []
    )


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


def test_what_an_action_found_stands_at_its_step_and_host(tmp_path):
    noted = {"code": "step-failed", "severity": "low", "title": "Found", "remedy": "Look."}
    story = (
        started(tmp_path)
        .add(11.0, "phase.started", phase="restore")
        .step(11.0, 12.0, "restore.1", "app-1", findings=[noted])
    )
    (found,) = [one for one in story.judge().result.findings if one.title == "Found"]
    assert (found.step, found.host, found.remedy) == ("restore.1", "app-1", "Look.")


def test_findings_are_told_by_their_weight(tmp_path):
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "no", "by_hand": "start it"}
    story = Story(tmp_path, DRILL.replace("rto: 5s", "rto: 2s"))
    story.add(0.1, "lock.taken", None, "app-1", name="api", token=2, services=["api"], taken_from={"run": "r0"})
    story.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    story.add(11.0, "ended.early", why="aborted", message="stopped by hand", findings=[])
    findings = story.end([left]).judge().result.findings
    assert [str(one.severity) for one in findings] == sorted(
        [str(one.severity) for one in findings], key=["critical", "high", "medium", "low"].index
    )
    assert {str(one.severity) for one in findings} == {"critical", "high", "medium", "low"}
    residue = findings[0]
    assert (residue.code, residue.measured, residue.remedy, residue.step, residue.host) == (
        "residue",
        "no",
        "start it",
        "inject.1",
        "app-1",
    )
    assert residue.title.endswith(": service.kill on app-1")
    (aborted,) = [one for one in findings if one.code == "aborted"]
    assert aborted.measured == "stopped by hand"


@pytest.mark.parametrize(
    ("answer", "measured"),
    [
        ({"active": True, "detail": ""}, None),
        ({"active": None, "detail": ""}, "active: None"),
        ({"active": False, "detail": "it is back"}, "it is back"),
        (None, "the fault was not injected"),
    ],
)
def test_a_fault_that_was_not_proven_says_what_was_answered(tmp_path, answer, measured):
    story = Story(tmp_path).availability(*SAMPLES).canary(ACKS, [[1, 400]])
    assert "fault-unproven" not in codes(story.judge().result), "it did not come so far"
    story.phase(9.9, 10.2, "inject")
    if answer:
        story.step(10.0, 10.1, "inject.1", "app-1", effect="fault", undo=COMMANDS)
        story.add(10.2, "fault.active", "inject.1", "app-1", **answer)
    story.add(10.3, "fault.gone", "inject.1", "app-1", active=False, detail="gone")
    found = [one for one in story.judge().result.findings if one.code == "fault-unproven"]
    assert [(one.measured, one.step, one.host) for one in found] == ([(measured, "inject.1", "app-1")] if measured else [])


def test_what_a_failure_found_is_told_instead_of_the_failure_itself(tmp_path):
    known = {"code": "expectation", "severity": "high", "title": "An expectation", "step": "restore.1", "host": "app-1"}
    story = started(tmp_path).step(11.0, 12.0, "restore.1", "app-1", "failed")
    (plain,) = [one for one in story.judge().result.findings if one.code in ("step-failed", "expectation")]
    assert (plain.code, plain.measured, plain.step, plain.host) == ("step-failed", "it broke", "restore.1", "app-1")
    story.change(-1, findings=[known])
    assert [one.title for one in story.judge().result.findings if one.code in ("step-failed", "expectation")] == [
        "An expectation"
    ]
    story.change(-1, allowed="never mind")
    (allowed,) = [one for one in story.judge().result.findings if one.step == "restore.1"]
    assert (allowed.code, allowed.wanted, allowed.measured) == ("allowed-failure", "never mind", "it broke")


def test_an_early_end_keeps_what_it_found(tmp_path):
    noted = {"code": "guard-tripped", "severity": "high", "title": "A guard"}
    for why, told in (("refused", ["A guard"]), ("aborted", ["A guard", "The run was stopped before its end"])):
        story = Story(tmp_path).add(1.0, "ended.early", why=why, message="stopped", findings=[noted])
        assert [one.title for one in story.end().judge().result.findings] == told


@pytest.mark.parametrize(
    ("step", "outcome", "message", "verdict", "reason"),
    [
        ("backup.1", "failed", "no room\nreally", Verdict.FAILED, "backup.1 command.run failed: no room"),
        ("backup.1", "error", "", Verdict.FAILED, "backup.1 command.run failed: "),
        ("detect.1", "failed", "no", Verdict.FAILED, "detect.1 command.run failed: no"),
        ("detect.1", "error", "no", Verdict.INCONCLUSIVE, "detect.1 command.run could not be carried out"),
        ("detect.1", "unverified", "no", Verdict.INCONCLUSIVE, "detect.1 command.run could not be carried out"),
        ("detect.1", "cancelled", "no", Verdict.INCONCLUSIVE, "detect.1 command.run could not be carried out"),
        ("inject.1", "failed", "no", Verdict.INCONCLUSIVE, "inject.1 service.kill could not be carried out"),
    ],
)
def test_the_reason_names_the_step_that_decided(tmp_path, step, outcome, message, verdict, reason):
    run = "  - command.run: {argv: [look], effect: read}\n    hosts: app-1\n"
    drill = DRILL.replace("inject:\n", f"backup:\n{run}inject:\n").replace("restore:\n", f"detect:\n{run}restore:\n")
    story = Story(tmp_path, drill)
    story.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery().step(15.0, 15.5, step, "app-1", outcome)
    story.change(-1, message=message)
    result = story.end().judge().result
    assert (result.verdict, result.reason) == (verdict, reason)


def test_what_could_not_be_recorded_in_time_keeps_a_run_from_passing(tmp_path):
    story = started(tmp_path).recovery()
    story.add(21.0, "run.finished", residue=[], unwritten="no space left")
    story.add(21.1, "trace.missed", to="x", message="y")
    result = story.judge().result
    assert (result.verdict, result.reason) == (
        Verdict.INCONCLUSIVE,
        "some events of the run could not be recorded in time: no space left",
    )
    story = started(tmp_path).add(10.5, "observer.failed", unwritten="of something else").recovery().end()
    assert story.judge().result.verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("change", "since"),
    [
        (lambda story, left: story.add(20.0, "recovery.finished", residue=[]), True),
        (lambda story, left: story.add(20.0, "recovery.finished", residue=[left]), False),
        (lambda story, left: story.add(20.0, "recovery.finished", residue=[]).add(20.1, "note"), False),
        (lambda story, left: story, False),
        (
            lambda story, left: story.add(
                19.0, "residue.settled", by="ann", reason="gone", changes=[], approval=None, intents=[], residue=[left]
            ).add(20.0, "recovery.finished", residue=[], kept=[]),
            False,
        ),
    ],
)
def test_a_service_that_a_recovery_brought_back_is_not_asked_for_again(tmp_path, change, since):
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "no", "by_hand": "start it"}
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)).canary(ACKS, [[1, 400]])
    story.recovery().end([left]).add(0.0, "recovery.started", operator="me", tool="drillbook")
    result = change(story, left).judge().result
    (found,) = [one for one in result.findings if one.code == "not-recovered"]
    assert ("`invoke drill.recover` undid the faults at 2026-01-01T00:00:20Z" in found.remedy) is since
    assert found.title.endswith("; recovered later at 2026-01-01T00:00:20Z by me") is since
    assert found.severity == "critical", "the finding stays what it was"
    assert not any("recovered later" in title for _, title in reduced(result).findings), "a later run compares the finding"
    assert {one.code for one in result.findings} >= {"objective-not-verified"}


@pytest.mark.parametrize("died", [True, False])
def test_a_recovery_of_a_run_whose_controller_died_asks_nobody_why(tmp_path, died):
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)).canary(ACKS, [[1, 400]])
    story.recovery()
    story = (story if died else story.end()).add(0.0, "recovery.started", operator="me", tool="drillbook")
    result = story.add(20.0, "recovery.finished", residue=[]).judge().result
    (found,) = [one for one in result.findings if one.code == "not-recovered"]
    assert "`invoke drill.recover` undid the faults at 2026-01-01T00:00:20Z" in found.remedy
    assert ("did not undo the faults because its controller died" in found.remedy) is died
    assert ("Find out why" in found.remedy) is not died


def test_a_probe_that_was_never_good_says_what_it_was_answered(tmp_path):
    story = Story(tmp_path).fault().availability(*grid(5.0, 16.0, False)).canary(ACKS, [[1, 400]]).recovery().end()
    (found,) = [one for one in story.judge().result.findings if one.code == "probe-never-good"]
    assert found.measured == "110 of 110 samples bad, the last: refused"
    assert found.wanted == "a good sample before the disruption"


def test_a_write_lost_of_those_behind_the_disruption_alone_is_no_hole(tmp_path):
    """No write from before the fault was kept, so that no kept write is newer than the missing ones."""
    result = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[241, 400]]).recovery().end().judge().result
    assert "hole-in-survivors" not in codes(result)
    assert "older than the first write of the canary" in result.objectives["rpo"].reason


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
