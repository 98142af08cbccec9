"""Steps on in-memory hosts: several hosts, groups, attempts, deadlines, events, and saved facts."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from drillbook.engine.steps import CUT, classify, groups, saved_facts
from drillbook.errors import Cancelled, CouldNotVerify, NotReady, StepFailed
from drillbook.hosts.fake import FakeHost, Reply
from drillbook.journal.journal import FILE, read
from drillbook.judge.judge import judge
from drillbook.judge.result import Verdict
from drillbook.report import html
from tests.machine.small import Disk, Small

FAULT = "inject:\n  - command.run: {argv: [make, it], effect: fault, undo: [mend, it], proof: [is, it]}\n    hosts: a\n"


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


def run(*argv, hosts="a", **more):
    """One step of ``command.run``, as an item of a phase."""
    extra = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in more.items())
    return f"  - command.run: {{argv: {json.dumps(argv)}, effect: read}}\n    hosts: {hosts}\n{extra}"


def group(*steps):
    return "  - parallel:\n" + "".join(f"    {line}\n" for step in steps for line in step.splitlines())


@pytest.mark.parametrize("order", [("good", "bad"), ("bad", "good")])
def test_a_failed_member_of_a_group_ends_its_phase(small, order):
    """The backup then covers only one half: no fault may be injected."""
    small.hosts["a"].on("good", Reply(0))
    small.hosts["a"].on("bad", Reply(1))
    small.run("backup:\n" + group(*(run(word) for word in order)) + FAULT)
    assert small.result.verdict is Verdict.FAILED
    assert "make" not in small.acts()
    assert small.kinds("intent") == []


@pytest.mark.parametrize("failing", ["a", "b"])
def test_a_step_that_fails_on_any_of_its_hosts_failed(small, failing):
    for name, host in small.hosts.items():
        host.on("save", Reply(1 if name == failing else 0))
    small.run("backup:\n" + run("save", hosts="[a, b]") + FAULT)
    assert small.ended() == {("backup.1", name): "failed" if name == failing else "done" for name in ("a", "b")}
    assert "make" not in small.acts()


def test_an_intent_is_on_the_disk_before_its_step_acts(small, monkeypatch):
    disk = Disk(monkeypatch, small.folder / FILE)
    state = {"there": False}
    safe = []

    def act(call):
        safe.append(disk.safe)
        state["there"] = call.argv[0] == "make"
        return Reply(0)

    small.hosts["a"].on("make", act)
    small.hosts["a"].on("mend", act)
    small.hosts["a"].on("is", lambda call: Reply(0 if state["there"] else 1))
    assert small.run(FAULT) == []
    before, undoing = safe
    assert b'"kind":"run.started"' in before
    assert b'"kind":"intent"' in before
    assert b'"kind":"undo"' in undoing, "so is the beginning of its undo"
    assert b'"kind":"run.finished"' in disk.safe


def test_a_step_that_saves_on_several_hosts_saves_what_each_said(small):
    small.hosts["a"].on("say", "left")
    small.hosts["b"].on("say", "right")
    small.run(
        "restore:\n"
        + run("say", hosts="[a, b]", save="both")
        + run("say", save="one")
        + run("look", "{{ both.a.stdout }}", "{{ both.b.stdout }}", "{{ one.stdout }}")
    )
    assert small.hosts["a"].calls[-1].argv[0] in ("look", "sh")
    assert ("look", "left", "right", "left") in [call.argv for call in small.hosts["a"].calls]


def test_what_was_saved_is_known_again_to_a_recovery(small):
    small.hosts["a"].on("say", "left")
    small.hosts["b"].on("say", "right")
    made = small.plan("restore:\n" + run("say", hosts="[a, b]", save="both") + run("say", save="one"))
    small.run(made)
    saved = saved_facts(made, small.events)
    assert {host: facts["stdout"] for host, facts in saved["both"].items()} == {"a": "left", "b": "right"}
    assert saved["one"]["stdout"] == "left"
    assert set(saved) == {"both", "one"}


def test_an_expression_that_cannot_be_evaluated_fails_its_step_on_every_host(small):
    small.hosts["a"].on("say", "text")
    small.run("restore:\n" + run("say", save="said") + run("look", "{{ said.stdout.nothing }}", hosts="[a, b]"))
    assert small.ended()["restore.2", "a"] == small.ended()["restore.2", "b"] == "error"
    assert small.result.verdict is Verdict.FAILED
    assert "look" not in small.acts("b")


def test_an_allowed_failure_of_an_expression_lets_the_phase_go_on(small):
    small.hosts["a"].on("say", "text")
    small.run(
        "restore:\n"
        + run("say", save="said")
        + run("look", "{{ said.stdout.nothing }}", allow_failure="never mind")
        + run("look", "last")
    )
    assert small.ended()["restore.3", "a"] == "done"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StepFailed("no"), ("failed", StepFailed.code, "no")),
        (Cancelled("stopped"), ("cancelled", Cancelled.code, "stopped")),
        (CouldNotVerify("dark"), ("unverified", CouldNotVerify.code, "dark")),
        (NotReady("not yet"), ("error", NotReady.code, "not yet")),
        (TimeoutError("late"), ("error", "timeout", "late")),
        (TimeoutError(), ("error", "timeout", "the step's timeout expired")),
        (KeyError("x"), ("error", "unexpected", "KeyError: 'x'")),
    ],
)
def test_every_error_has_its_outcome(error, told):
    assert classify(error) == told


def test_each_retry_has_a_timeout_of_its_own_and_polling_has_one_for_all(small):
    """A retry is a new attempt; polling repeats the check within one attempt."""
    deadlines = []

    def fails(call):
        deadlines.append(call.deadline)
        return Reply(1)

    small.hosts["a"].on("try", fails)
    small.run("restore:\n" + run("try", retries=2, every="10ms", timeout="5s"))
    assert len(deadlines) == 3
    assert len({id(deadline) for deadline in deadlines}) == 3


def test_an_attempt_that_the_end_of_its_step_cut_off_hides_no_complete_answer(small):
    """Here a service answers with the wrong status, and the last request gets no answer in the rest of the time."""
    asked, stop = [], threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if len(asked) > 2:
                stop.wait(5)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    small.hosts["controller"] = FakeHost("controller")
    small.run(f"verify:\n  - http.responds: {{url: '{url}', status: 418}}\n    every: 20ms\n    timeout: 500ms\n")
    stop.set()
    server.shutdown()
    server.server_close()
    failed = next(event for event in small.events if event.kind == "failed")
    first, note = f"{url} answered 200, expected 418", failed.data["message"].removesuffix(CUT)
    assert re.fullmatch(re.escape(first) + r", 2 times in 0\.\d s", note), failed.data["message"]
    assert failed.data["outcomes"] == [{"outcome": first, "count": 2}], "the attempt that was cut off is not counted"
    assert failed.data["attempts"] == len(asked) == 3
    (found,) = failed.data["findings"]
    assert (found["measured"], found["wanted"]) == ("status 200", "status 418")
    assert failed.data["facts"]["status"] == 200


def test_a_command_that_was_cut_off_hides_no_exit_status(small):
    count = []

    def hangs(call):
        count.append(call)
        if len(count) > 2:
            call.sleep(60)
        return Reply(1)

    small.hosts["a"].on("try", hangs)
    small.run("restore:\n" + run("try", every="20ms", timeout="300ms"))
    failed = next(event for event in small.events if event.kind == "failed")
    assert re.fullmatch(
        re.escape("a: `try` ended with status 1") + r", 2 times in 0\.\d s" + re.escape(CUT), failed.data["message"]
    )
    assert (failed.data["outcome"], failed.data["attempts"]) == ("failed", 3)


def test_the_outcomes_of_a_polled_step_are_counted(small):
    count = []

    def changes(call):
        count.append(call)
        return Reply(7 if len(count) < 3 else 1)

    small.hosts["a"].on("try", changes)
    small.run("restore:\n" + run("try", every="30ms", timeout="300ms"))
    failed = next(event for event in small.events if event.kind == "failed")
    seven, one = failed.data["outcomes"]
    assert seven == {"outcome": "a: `try` ended with status 7", "count": 2}
    assert one["outcome"] == "a: `try` ended with status 1"
    total = one["count"] + 2
    assert f"status 1, {one['count']} of {total} times in 0." in failed.data["message"]
    assert "; the other attempts: 2 × a: `try` ended with status 7" in failed.data["message"]
    view = judge(read(small.folder / FILE))
    (step,) = [step for step in view.steps if step.message]
    assert step.outcomes == ((seven["outcome"], 2), (one["outcome"], one["count"]))
    page = html.render(view)
    assert "2 × <bdi>a: `try` ended with status 7</bdi>" in page


def test_a_step_with_one_attempt_counts_no_outcomes(small):
    small.hosts["a"].on("try", lambda call: Reply(1))
    small.run("restore:\n" + run("try"))
    failed = next(event for event in small.events if event.kind == "failed")
    assert "outcomes" not in failed.data
    assert failed.data["message"].endswith("ended with status 1")


@pytest.mark.parametrize(
    "every", [{}, {"every": "20ms"}, {"retries": 1, "every": "20ms"}], ids=["once", "polled", "retried"]
)
def test_an_attempt_without_an_earlier_answer_is_told_as_it_is(small, every):
    small.hosts["a"].on("try", lambda call: call.sleep(60))
    small.run("restore:\n" + run("try", timeout="100ms", **every))
    failed = next(event for event in small.events if event.kind == "failed")
    assert CUT not in failed.data["message"]
    assert failed.data["outcome"] == "error"


def test_groups_that_follow_each_other_are_carried_out_one_after_the_other(small):
    made = small.plan(
        "restore:\n"
        + group(run("look", "1"), run("look", "2"))
        + run("look", "3")
        + run("look", "4")
        + group(run("look", "5"), run("look", "6"))
        + group(run("look", "7"), run("look", "8"))
    )
    assert [[step.params["argv"][1] for step in steps] for steps in groups(made.phase("restore"))] == [
        ["1", "2"],
        ["3"],
        ["4"],
        ["5", "6"],
        ["7", "8"],
    ]


def test_a_step_whose_expression_fails_has_begun_on_every_host(small):
    small.hosts["a"].on("say", "text")
    small.run("restore:\n" + run("say", save="said") + run("look", "{{ said.stdout.nothing }}", hosts="[a, b]"))
    begun = [(event.step, event.host) for event in small.events if event.kind == "step.started"]
    assert begun.count(("restore.2", "a")) == begun.count(("restore.2", "b")) == 1


def test_a_fault_that_shows_late_is_proven_and_one_that_is_gone_at_once_is_not(small):
    answers = iter([1, 1, 0])
    small.hosts["a"].on("is", lambda call: Reply(next(answers, 1)))
    assert small.run(FAULT) == []
    proof = next(event for event in small.events if event.kind == "fault.active")
    assert (proof.data["active"], proof.host, proof.step) == (True, "a", "inject.1")
    assert proof.data["outcomes"] == [
        {"outcome": "the fault is not active", "count": 2},
        {"outcome": "the fault is active", "count": 1},
    ]
    assert "outcomes" not in next(event.data for event in small.events if event.kind == "fault.gone"), "one check"


def test_a_check_of_a_fault_that_was_cut_off_hides_no_answer(small):
    """The step ends in the middle of the third check; the two before said that the fault is not active."""
    checks = []

    def hangs(call):
        checks.append(call)
        if len(checks) == 3:
            call.sleep(60)
        return Reply(1)

    small.hosts["a"].on("is", hangs)
    small.run(FAULT + "    timeout: 600ms\n")
    proof = next(event for event in small.events if event.kind == "fault.active")
    assert (proof.data["active"], proof.data["detail"]) == (False, "")
    assert proof.data["outcomes"] == [{"outcome": "the fault is not active", "count": 2}]
    assert small.result.verdict is not Verdict.PASSED
    (found,) = [found for found in small.result.findings if found.code == "fault-unproven"]
    assert found.measured == "active: False, the last answer of 2 checks"


def test_a_cancelled_step_is_not_allowed_to_fail(small):
    """A request to stop the run is obeyed even during a step that may fail."""

    def stops(call):
        small.stop.ask("stopped")
        call.deadline.check()
        return Reply(0)

    small.hosts["a"].on("wait", stops)
    small.run("restore:\n" + run("wait", allow_failure="never mind") + run("look", "last"))
    assert small.ended()["restore.1", "a"] == "cancelled"
    assert ("look", "last") not in [call.argv for call in small.hosts["a"].calls]
    assert [event.data["why"] for event in small.events if event.kind == "skipped"] == ["the run was stopped"]
    assert small.result.verdict is Verdict.ABORTED


def test_a_step_for_which_nobody_waits_any_more_is_not_tried_again(small):
    def stops(call):
        small.stop.ask("stopped")
        return Reply(1)

    small.hosts["a"].on("try", stops)
    small.run("restore:\n" + run("try", retries=5, every="1ms", timeout="5s"))
    assert small.acts().count("try") == 1


def test_what_a_step_did_is_told_with_its_attempts(small):
    begun = time.monotonic()
    small.hosts["a"].on("try", lambda call: Reply(0 if small.acts().count("try") == 3 else 1))
    small.run("restore:\n" + run("try", retries=5, every="1ms", timeout="5s"))
    done = next(event for event in small.events if event.kind == "done")
    assert (done.data["attempts"], small.acts().count("try")) == (3, 3)
    assert 0 <= done.data["seconds"] <= time.monotonic() - begun


def test_a_failure_that_is_allowed_lets_the_phase_go_on(small):
    small.hosts["a"].on("bad", Reply(1))
    small.run("restore:\n" + run("bad", allow_failure="never mind") + run("look", "last"))
    assert small.ended()["restore.1", "a"] == "failed"
    assert small.ended()["restore.2", "a"] == "done"
    assert small.result.verdict is Verdict.PASSED
