"""Execution of one step: its context, deadlines, attempts, events and proofs, one case each."""

import threading
import time

import pytest

from drillbook.engine import steps
from drillbook.engine.steps import build, carry_out, fault_gone, for_ready, groups, saved_facts
from drillbook.errors import HostUnreachable, PlanError
from drillbook.hosts.fake import Reply
from drillbook.redact import Redactor
from drillbook.systems.command.actions import Run
from tests.engine.test_revert_cases import Held
from tests.engine.test_steps import FAULT, group, run
from tests.machine.small import HOSTS, Small


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


def staged(small, text, hosts=HOSTS, observer=None):
    return small.stage(small.plan(text, hosts), observer)


def step_of(stage, name):
    return next(one for one in stage.plan.steps if one.id == name)


def told(small, kind):
    return [(event.step, event.host, event.data) for event in small.events if event.kind == kind]


class Fencing(Held):
    """Hold whose fence puts a word before each command, and records for which host."""

    def fence(self, host, *, fault=False):
        self.asked.append(("fence", host, fault))
        return lambda argv: ("fenced", *argv)

    def fence_of_lease(self, host, become):
        """The fault waits for its lease, too; the test looks only at the fence of the lock."""
        return

    def arm(self, intent, what, host, commands, become=None):
        self.asked.append(("arm", intent, what, host, commands))


def test_a_step_that_does_not_fit_after_its_expressions_names_its_line_and_the_first_key(small):
    stage = staged(small, "restore:\n" + run("look"))
    step = step_of(stage, "restore.1").model_copy(
        update={"params": {"exit": "{{ n }}", "keep": "{{ n }}", "argv": ["look"]}}
    )
    with pytest.raises(PlanError, match=r"sample.yml:\d+: command.run: exit: expected a list, .* were evaluated$"):
        build(step, {"n": 7})
    with pytest.raises(
        PlanError, match=r"exit: expected .*, not \{\{ n \}\}, an object with the keys no; write `\{\{ n.no \}\}`"
    ):
        build(step, {"n": {"no": "number"}})
    step = step.model_copy(update={"params": {"argv": ["look", "{{ nothing.there }}"]}})
    with pytest.raises(PlanError, match=r"sample.yml:\d+: command.run: "):
        build(step, {})
    built = build(step.model_copy(update={"params": {"argv": ["look", "{{ n }}"]}}), {"n": "here"})
    assert built.argv == ("look", "here")
    stage.journal.close()


def test_an_object_among_the_arguments_is_named_with_the_key_that_identifies_it(small):
    stage = staged(small, "restore:\n" + run("look"))
    undo = ["psql", "-f", "{{ newest.backup }}"]
    step = step_of(stage, "restore.1").model_copy(update={"params": {"argv": ["look"], "effect": "write", "undo": undo}})
    with pytest.raises(PlanError) as caught:
        build(step, {"newest": {"backup": {"taken_at": "today", "id": "dump.sql"}}})
    assert str(caught.value).partition("command.run: ")[2] == (
        "entry 3 of `undo`: expected text, not {{ newest.backup }}, an object with the keys taken_at, id; "
        "write `{{ newest.backup.id }}`, or another of its keys"
    )
    stage.journal.close()


@pytest.mark.parametrize(
    ("action", "params", "values", "told"),
    [
        ("port.owner", {"port": "{{ n }}"}, {"n": None}, "set `port` or `service`, after its expressions were evaluated"),
        ("command.run", {"argv": ["look", "{{ n }}"]}, {"n": {}}, "entry 2 of `argv`: expected text, after its"),
        ("process.usage", {"pid": 1, "seconds": "{{ n }}"}, {"n": "soon"}, "seconds: 'soon' is not a duration; write "),
        (
            "http.flow",
            {"steps": "{{ n }}"},
            {"n": [{"url": "http://a", "urls": "http://b"}]},
            "entry 1 of `steps`: unknown key 'urls', after its expressions were evaluated; did you mean 'url'? known",
        ),
        (
            "http.flow",
            {"steps": ["{{ n }}"]},
            {"n": {"name": "x"}},
            "entry 1 of `steps`: the key 'url' is missing, after its expressions were evaluated; write `url: ...`",
        ),
    ],
)
def test_an_error_that_is_not_about_an_object_names_no_keys(small, action, params, values, told):
    stage = staged(small, "restore:\n" + run("look"))
    step = step_of(stage, "restore.1").model_copy(update={"action": action, "params": params})
    with pytest.raises(PlanError) as caught:
        build(step, values)
    said = str(caught.value).partition(f"{action}: ")[2]
    assert said.startswith(told)
    assert "value error" not in said
    assert "an object with the keys" not in said
    stage.journal.close()


def test_a_look_before_the_run_knows_what_does_not_depend_on_earlier_steps(small):
    stage = staged(small, "restore:\n" + run("look"))
    step = step_of(stage, "restore.1")
    whole = for_ready(
        step.model_copy(update={"params": {"argv": ["look", "{{ n }}"], "effect": "write", "undo": ["mend"]}}), {"n": "here"}
    )
    assert (type(whole), whole.argv, whole.undo_) == (Run, ("look", "here"), ("mend",))
    part = for_ready(
        step.model_copy(update={"params": {"argv": ["look", "{{ saved.x }}"], "effect": "write", "undo": ["mend"]}}), {}
    )
    assert (type(part), part.known("argv"), list(part.undo_), part.exit) == (Run, False, ["mend"], (0,))
    for later in ("7", "{{ saved.x }}"):
        wrong = step.model_copy(update={"params": {"argv": ["look", later], "exit": "{{ n }}"}})
        with pytest.raises(PlanError, match=r"sample.yml:\d+: command.run: exit: expected a list, .* were evaluated$"):
            for_ready(wrong, {"n": 7})
    part = for_ready(step.model_copy(update={"params": {"argv": ["look"], "effect": "{{ saved.x }}"}}), {})
    assert (part.known("argv"), part.known("effect_")) == (True, False)
    stage.journal.close()


@pytest.mark.parametrize(("when", "ran"), [(None, True), ("environment == 'lab'", True), ("environment == 'x'", False)])
def test_a_condition_decides_whether_a_step_is_carried_out(small, when, ran):
    stage = staged(small, "restore:\n" + run("look", **({"when": when} if when else {})))
    assert carry_out(stage, [step_of(stage, "restore.1")]) is True
    stage.journal.close()
    assert ("look" in small.acts()) is ran
    assert [(step, data) for step, _, data in told(small, "skipped")] == (
        [] if ran else [("restore.1", {"why": f"when: {when}"})]
    )


def test_nothing_is_carried_out_where_there_is_nothing(small):
    stage = staged(small, FAULT)
    assert carry_out(stage, []) is True
    stage.journal.close()


@pytest.mark.parametrize(
    ("allow", "hosts", "failing", "good"),
    [(None, "[a, b]", "b", False), ("never mind", "[a, b]", "b", True), (None, "[a, b]", "", True), (None, "a", "a", False)],
)
def test_a_step_is_good_when_it_is_on_every_host_or_may_fail(small, allow, hosts, failing, good):
    for name, host in small.hosts.items():
        host.on("try", Reply(1 if name == failing else 0))
    stage = staged(small, "restore:\n" + run("try", hosts=hosts, **({"allow_failure": allow} if allow else {})))
    assert carry_out(stage, [step_of(stage, "restore.1")]) is good
    stage.journal.close()


def test_a_step_with_an_expression_that_fails_is_told_as_begun_and_failed_where_it_should_have_run(small):
    stage = staged(small, "restore:\n" + run("look", hosts="[a, b]"))
    step = step_of(stage, "restore.1").model_copy(update={"params": {"argv": ["look", "{{ nothing.there }}"]}})
    assert carry_out(stage, [step]) is False
    stage.journal.close()
    assert [
        (one, host, data["action"], data["phase"], data["effect"]) for one, host, data in told(small, "step.started")
    ] == [("restore.1", "a", "command.run", "restore", "read"), ("restore.1", "b", "command.run", "restore", "read")]
    failed = told(small, "failed")
    assert [(host, data["outcome"], data["seconds"], data["attempts"]) for _, host, data in failed] == [
        ("a", "error", 0.0, 0),
        ("b", "error", 0.0, 0),
    ]
    assert small.acts() == []


def test_the_next_step_runs_in_the_threads_of_the_last_one(small):
    seen = []
    for host in small.hosts.values():
        host.on("try", lambda call: (seen.append(threading.current_thread()), Reply(0))[1])
    stage = staged(small, "restore:\n" + 3 * run("try", hosts="[a, b]"))
    for number in (1, 2, 3):
        assert carry_out(stage, [step_of(stage, f"restore.{number}")]) is True
    stage.journal.close()
    assert len(seen) == 6
    assert all(thread.is_alive() for thread in seen), "a step ended its threads, so that the next one starts others"
    stage.pool.shutdown()
    assert not any(thread.is_alive() for thread in seen)


def test_polling_has_one_time_for_all_its_attempts(small):
    deadlines = []
    small.hosts["a"].on("try", lambda call: (deadlines.append(call.deadline), Reply(1))[1])
    stage = staged(small, "restore:\n" + run("try", every="100ms", timeout="500ms"))
    assert carry_out(stage, [step_of(stage, "restore.1")]) is False
    stage.journal.close()
    assert len({id(one) for one in deadlines}) == 1
    assert 2 <= len(deadlines) <= 5
    ((_, _, data),) = told(small, "failed")
    assert data["seconds"] > 0.1
    assert data["attempts"] - len(deadlines) in (0, 1), "the last attempt may find no time left for its command"


def test_polling_ends_with_the_first_good_answer(small):
    answers = iter([1, 1, 0])
    small.hosts["a"].on("try", lambda call: Reply(next(answers)))
    stage = staged(small, "restore:\n" + run("try", every="10ms", timeout="30s"))
    assert carry_out(stage, [step_of(stage, "restore.1")]) is True
    stage.journal.close()
    assert [data["attempts"] for *_, data in told(small, "done")] == [3]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_step_is_tried_again_as_often_as_it_says(small, retries):
    small.hosts["a"].on("try", Reply(1))
    stage = staged(
        small, "restore:\n" + run("try", timeout="30s", **({"retries": retries, "every": "1ms"} if retries else {}))
    )
    assert carry_out(stage, [step_of(stage, "restore.1")]) is False
    stage.journal.close()
    assert small.acts().count("try") == retries + 1


def test_a_change_is_announced_once_and_nothing_that_only_reads_is(small):
    answers = iter([1, 1, 0])
    small.hosts["a"].on("make", lambda call: Reply(next(answers)))
    written = "  - command.run: {argv: [make, it], effect: write, undo: [mend, it]}\n    hosts: a\n    retries: 2\n    every: 1ms\n    timeout: 30s\n"
    stage = staged(small, "restore:\n" + written + run("look"))
    assert carry_out(stage, [step_of(stage, "restore.1")]) is True
    assert carry_out(stage, [step_of(stage, "restore.2")]) is True
    stage.journal.close()
    assert [(step, host, data["effect"], data["undo"]["commands"]) for step, host, data in told(small, "intent")] == [
        ("restore.1", "a", "write", [["mend", "it"]])
    ]
    assert stage.journal.patient is False, "nothing is broken"


def test_who_stops_a_run_after_an_announcement_keeps_the_act_from_being_done(small):
    stage = staged(small, FAULT, observer=lambda event: event.kind == "intent" and stage.cancel.set())
    assert carry_out(stage, [step_of(stage, "inject.1")]) is False
    stage.journal.close()
    assert "make" not in small.acts()
    assert [data["outcome"] for *_, data in told(small, "failed")] == ["cancelled"]


def test_once_something_is_broken_the_journal_is_patient_to_the_end(small):
    stage = staged(small, FAULT + "restore:\n  - command.run: {argv: [make, x], effect: write}\n    hosts: a\n")
    small.hosts["a"].on("is", Reply(0))
    assert stage.journal.patient is False
    assert carry_out(stage, [step_of(stage, "inject.1")]) is True
    assert stage.journal.patient is True
    assert carry_out(stage, [step_of(stage, "restore.1")]) is True
    assert stage.journal.patient is True
    stage.journal.close()


def test_before_a_fault_its_lock_is_looked_at_and_its_undo_is_left_with_the_target(small):
    stage = staged(
        small, FAULT + "restore:\n  - command.run: {argv: [make, x], effect: write, undo: [mend, x]}\n    hosts: b\n"
    )
    stage.hold = Fencing()
    for host in small.hosts.values():
        host.on("fenced", Reply(0))
    assert carry_out(stage, [step_of(stage, "inject.1")]) is True
    intent = next(event for event in small.events if event.kind == "intent")
    assert [one for one in stage.hold.asked if one[0] != "fence"] == [
        ("check", ""),
        ("arm", intent.seq, "command.run", "a", (("mend", "it"),)),
    ]
    stage.hold.asked.clear()
    assert carry_out(stage, [step_of(stage, "restore.1")]) is True
    assert ("check", "") in stage.hold.asked
    stage.journal.close()


def test_an_undo_with_a_secret_in_it_cannot_be_announced_so_nothing_is_done(small):
    small.redactor = Redactor(["hunter22"])
    stage = staged(small, FAULT.replace("[mend, it]", "[mend, hunter22]"))
    assert carry_out(stage, [step_of(stage, "inject.1")]) is False
    stage.journal.close()
    ((_, _, data),) = told(small, "failed")
    assert "its parameters or its undo contain a secret" in data["message"]
    assert (told(small, "intent"), "make" in small.acts()) == ([], False)


def test_what_can_never_go_well_is_not_tried_again(small):
    small.redactor = Redactor(["hunter22"])
    stage = staged(
        small, FAULT.replace("[mend, it]", "[mend, hunter22]") + "    retries: 3\n    every: 1ms\n    timeout: 9s\n"
    )
    assert carry_out(stage, [step_of(stage, "inject.1")]) is False
    stage.journal.close()
    assert [(data["outcome"], data["attempts"]) for *_, data in told(small, "failed")] == [("error", 1)]


def test_a_failure_keeps_what_it_found_and_measured_and_shows_no_secret(small):
    small.redactor = Redactor(["hunter22"])
    small.hosts["a"].on("try", Reply(3, stderr=b"hunter22 \x1b[31m failed"))
    stage = staged(small, "restore:\n" + run("try", allow_failure="never mind"))
    assert carry_out(stage, [step_of(stage, "restore.1")]) is True
    stage.journal.close()
    ((step, host, data),) = told(small, "failed")
    assert (step, host, data["outcome"], data["allowed"], data["attempts"]) == ("restore.1", "a", "failed", "never mind", 1)
    assert (data["facts"]["exit"], data["code"]) == (3, "step-failed")
    assert [(one["code"], one["step"], one["host"]) for one in data["findings"]] == [("step-failed", "restore.1", "a")]
    assert "\x1b" not in data["message"]
    assert "***" in data["message"]


@pytest.mark.parametrize(
    ("answers", "gone", "asked"), [([1], True, 1), ([0, 0, 1], True, 3), ([2], None, 20), ([0], False, 20)]
)
def test_a_fault_is_asked_about_until_it_is_gone_or_the_patience_is_over(small, monkeypatch, answers, gone, asked):
    monkeypatch.setattr(steps, "PROOF_S", 0.5)
    left = iter(answers)
    small.hosts["a"].on("is", lambda call: Reply(next(left, answers[-1])))
    stage = staged(small, FAULT)
    step = step_of(stage, "inject.1")
    action = build(step, {})
    assert fault_gone(stage, step, action, "a", patience=0.5 if asked > 1 else 0.0) is gone
    stage.journal.close()
    if gone:
        assert small.acts().count("is") == asked
    elif gone is False:
        assert small.acts().count("is") > 1
    ((id_, host, data),) = told(small, "fault.gone")
    outcomes = data.pop("outcomes", ())
    assert (id_, host, data) == ("inject.1", "a", {"active": None if gone is None else not gone, "detail": ""})
    assert sum(row["count"] for row in outcomes) == (small.acts().count("is") if small.acts().count("is") > 1 else 0)


def test_a_proof_that_breaks_is_tried_again_and_told(small, monkeypatch):
    answers = iter([1 / 3, 0])
    small.hosts["a"].on("is", lambda call: Reply(1) if next(answers, 0) == 0 else 1 // 0)
    stage = staged(small, FAULT)
    step = step_of(stage, "inject.1")
    assert fault_gone(stage, step, build(step, {}), "a", patience=9) is True
    small.hosts["a"].on("is", lambda call: 1 // 0)
    assert fault_gone(stage, step, build(step, {}), "a", patience=0) is None
    stage.journal.close()
    assert told(small, "fault.gone")[-1][2]["detail"].startswith("ZeroDivisionError: ")


def test_a_host_that_cannot_be_asked_about_its_fault_is_told_at_once(small):
    stage = staged(small, FAULT)
    step = step_of(stage, "inject.1")
    small.hosts["a"].unreachable = True
    begun = time.monotonic()
    with pytest.raises(HostUnreachable):
        fault_gone(stage, step, build(step, {}), "a", patience=600)
    stage.journal.close()
    assert time.monotonic() - begun < 600, "before its patience is over"
    ((_, _, data),) = told(small, "fault.gone")
    assert (data["active"], "set to unreachable" in data["detail"]) == (None, True)


def test_whether_a_fault_is_active_is_asked_after_it_and_of_nothing_else(small):
    stage = staged(
        small,
        FAULT + "restore:\n  - command.run: {argv: [make, x], effect: write, proof: [is, x], undo: [mend, x]}\n"
        "    hosts: a\n",
    )
    small.hosts["a"].on("is", Reply(0))
    for name in ("inject.1", "restore.1"):
        assert carry_out(stage, [step_of(stage, name)]) is True
    stage.journal.close()
    assert [(step, host, data) for step, host, data in told(small, "fault.active")] == [
        ("inject.1", "a", {"active": True, "detail": ""})
    ]
    kinds = [event.kind for event in small.events if event.kind in ("intent", "fault.active", "done")]
    assert kinds == ["intent", "fault.active", "done", "intent", "done"]


def test_steps_of_several_hosts_are_carried_out_at_once(small):
    together = threading.Barrier(2, timeout=20)
    for host in small.hosts.values():
        host.on("meet", lambda call: (together.wait(), Reply(0))[1])
    stage = staged(small, "restore:\n" + run("meet", hosts="[a, b]") + group(run("meet"), run("meet", hosts="b")))
    assert carry_out(stage, [step_of(stage, "restore.1")]) is True
    pair = next(one for one in groups(stage.plan.phase("restore")) if len(one) == 2)
    assert carry_out(stage, pair) is True
    stage.journal.close()


def test_what_a_step_saves_is_known_to_the_next(small):
    small.hosts["a"].on("say", "left")
    small.hosts["b"].on("say", "right")
    stage = staged(small, "restore:\n" + run("say", save="one") + run("say", hosts="[a, b]", save="both") + run("say"))
    for name in ("restore.1", "restore.2", "restore.3"):
        carry_out(stage, [step_of(stage, name)])
    stage.journal.close()
    assert (stage.names()["one"]["stdout"], set(stage.saved)) == ("left", {"one", "both"})
    assert {host: facts["stdout"] for host, facts in stage.names()["both"].items()} == {"a": "left", "b": "right"}
    assert saved_facts(stage.plan, small.events) == stage.saved
    assert stage.names()["environment"] == "lab"


def test_a_comparison_of_another_service_than_the_drills_names_it(small):
    small.hosts["a"].on("look", Reply(0, b"row\n"))
    taken = "  - content.take: {{service: {0}, of: {{rows: {{command: [look]}}}}}}\n    save: {0}\n    hosts: a\n"
    compared = "  - content.matches: {{service: {0}, manifest: '{{{{ {0}.manifest }}}}'}}\n    hosts: a\n"
    small.run(
        "backup:\n"
        + taken.format("app")
        + taken.format("other")
        + "verify:\n"
        + compared.format("app")
        + compared.format("other")
    )
    named = {step: data["facts"].get("other_service") for step, _, data in told(small, "done")}
    assert named == {"backup.1": None, "backup.2": "other", "verify.1": None, "verify.2": "other"}
