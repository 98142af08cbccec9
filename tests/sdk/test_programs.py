"""Programs on a host: checked once, with any names."""

import pytest

from drillbook.errors import CommandLost, HostError
from drillbook.hosts.fake import FakeHost
from drillbook.hosts.local import LocalHost
from drillbook.sdk import programs
from drillbook.sdk.host import Deadline, Target
from drillbook.sdk.programs import Programs


def soon():
    return Deadline.after(20)


def test_a_real_shell_names_what_is_missing_whatever_the_names():
    odd = ["no such\nprogram", "-x", "\\n", "", "$(true)", "true"]
    there = LocalHost()
    assert Programs().missing(there, ["sh", *odd, "cat"], deadline=soon()) == odd[:-1]


def test_many_programs_take_several_commands(monkeypatch):
    monkeypatch.setattr(programs, "MANY", 2)
    host = FakeHost(commands={"sh": lambda call: "1\n" if "c" in call.argv else ""})
    known = Programs()
    known.expect("fake", "", "bcde")
    assert known.missing(host, ["a"], deadline=soon()) == []
    assert [call.argv[4:] for call in host.calls] == [("a", "b"), ("c", "d"), ("e",)]
    assert known.missing(host, "abcde", deadline=soon()) == ["d"]
    assert len(host.calls) == 3


def test_a_question_without_an_answer_is_asked_again():
    host, known = FakeHost(commands={"sh": ""}, unreachable=True), Programs()
    with pytest.raises(HostError):
        known.missing(host, ["a"], deadline=soon())
    host.unreachable = False
    assert known.missing(host, ["a"], deadline=soon()) == []


def test_a_question_whose_connection_is_lost_is_asked_once_more():
    lost = [CommandLost("fake: the shell on the host ended", host="fake")]

    def answer(call):
        if lost:
            raise lost.pop()
        return "0\n"

    assert Programs().missing(FakeHost(commands={"sh": answer}), ["a"], deadline=soon()) == ["a"]


def test_accounts_of_a_host_have_programs_of_their_own():
    """sudo uses another PATH."""
    host, known = FakeHost(commands={"sh": ""}), Programs()
    root = FakeHost(commands={"sh": "0\n"}, target=Target(name="fake").acting_as("root"))
    assert known.missing(host, ["a"], deadline=soon()) == []
    assert known.missing(root, ["a"], deadline=soon()) == ["a"]
