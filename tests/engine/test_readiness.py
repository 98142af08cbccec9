"""Checks before a drill: on all hosts at the same time, each program checked once a host, and findings in the order
of the plan.
"""

import json
import threading

import pytest

from drillbook.engine import readiness
from drillbook.hosts.fake import Reply
from tests.machine.small import Small

PATIENCE_S = 20


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


def step(*argv, hosts="[a, b]"):
    return f"  - command.run: {{argv: {json.dumps(argv)}, effect: read}}\n    hosts: {hosts}\n"


def asked(host):
    """Programs that a host was asked about, a list for each command."""
    return [call.argv[4:] for call in host.calls if call.argv[0] == "sh"]


def lacks(*programs):
    def answer(call):
        return "".join(f"{number}\n" for number, program in enumerate(call.argv[4:]) if program in programs)

    return answer


def findings(small, text):
    stage = small.stage(small.plan(text))
    try:
        return readiness.of_steps(stage)
    finally:
        stage.journal.close()


def test_one_command_asks_a_host_for_the_programs_of_all_its_steps(small):
    assert findings(small, "verify:\n" + step("one") + step("two", hosts="a") + step("one", "x") + step("three")) == []
    assert asked(small.hosts["a"]) == [("one", "two", "three")]
    assert asked(small.hosts["b"]) == [("one", "three")]


FAULT = "  - command.run: {argv: [break], effect: fault, undo: [mend], proof: [look]}\n    hosts: a\n"


@pytest.mark.parametrize(
    ("before", "refused", "doubted"),
    [("", 2, 0), ("inject:\n" + step("make", hosts="a").replace("read", "write"), 0, 2), ("inject:\n" + FAULT, 0, 2)],
)
def test_what_an_earlier_step_may_supply_is_not_refused_but_told(small, before, refused, doubted):
    for host in small.hosts.values():
        host.on("sh", lacks("gone"))
    stage, doubts = small.stage(small.plan(before + "verify:\n" + step("env", "gone"))), []
    try:
        assert len(readiness.of_steps(stage, doubts)) == refused
    finally:
        stage.journal.close()
    assert ["'gone' is not installed; an earlier step may change this" in text for text in doubts] == [True] * doubted


def test_hosts_are_asked_at_the_same_time(small):
    """Each host answers only after the other one was asked, too."""
    both = threading.Barrier(2)

    def answer(call):
        both.wait(PATIENCE_S)
        return ""

    for host in small.hosts.values():
        host.on("sh", answer)
    assert findings(small, "verify:\n" + step("one")) == []


def test_findings_are_in_the_order_of_the_plan_whichever_host_answers_first(small):
    late = threading.Event()

    def first(call):
        late.wait(PATIENCE_S)
        return lacks("one", "three")(call)

    def second(call):
        late.set()
        return lacks("one", "two")(call)

    small.hosts["a"].on("sh", first)
    small.hosts["b"].on("sh", second)
    found = findings(small, "verify:\n" + step("one") + step("two") + step("three", hosts="a"))
    assert [(one.step, one.host) for one in found] == [
        ("verify.1", "a"),
        ("verify.1", "b"),
        ("verify.2", "b"),
        ("verify.3", "a"),
    ]
    assert {one.code for one in found} == {"not-ready"}
    assert found[2].measured == "b: the program 'two' is not installed"


def test_a_host_that_does_not_answer_is_a_finding_of_each_of_its_steps(small):
    small.hosts["b"].unreachable = True
    found = findings(small, "verify:\n" + step("one") + step("two"))
    assert [(one.step, one.host) for one in found] == [("verify.1", "b"), ("verify.2", "b")]


def test_a_step_asks_its_host_anew(small):
    """A program that existed before the drill may be missing when its step runs."""
    small.hosts["a"].on("one", Reply(0))
    stage = small.stage(small.plan("verify:\n" + step("one", hosts="a")))
    try:
        for _ in range(2):
            assert stage.context("verify.1", "a", stage.deadline(5)).missing("one") == []
    finally:
        stage.journal.close()
    assert asked(small.hosts["a"]) == [("one",), ("one",)]
