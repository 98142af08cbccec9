"""Questions to sudo, with its answers as sudo gives them."""

import subprocess

import pytest

from drillbook.errors import NotReady
from drillbook.hosts.local import LocalHost
from drillbook.sdk import sudo_question
from drillbook.sdk.context import Context
from drillbook.sdk.host import Deadline, Output, Target


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (0, "", ""),
        (1, "", "the sudoers file of the host does not allow this command"),
        (1, "sudo: a password is required\n", "a password is required"),
        (1, "warning\nSorry, user web may not run sudo on db-1.\n", "Sorry, user web may not run sudo on db-1."),
        (1, "sudo: unable to resolve host db-1\n", ""),
        (3, "", "sudo asks for a password"),
        (2, "sudo: a password is required\n", ""),
    ],
)
def test_a_refusal_is_told_from_other_messages(status, said, expected):
    assert sudo_question.refusal(Output("here", ("sh",), status, None, b"", said.encode(), 0.1, 0, len(said))) == expected


RULE = "Sudoers entry:\n    RunAsUsers: postgres\n"
ANSWERS = {
    "a rule without a password": (f"{RULE}    Options: !authenticate\n", 1, 0),
    "a rule with a password": (RULE, 1, 3),
    "a password that sudo remembers": (RULE, 0, 0),
    "a list without details": ("/usr/bin/psql\n", 1, 0),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_command_that_needs_a_password_is_told(tmp_path, case):
    """A user who may do nothing else is played by `id`, and the answers of sudo are those of its manual."""
    listed, remembers, status = ANSWERS[case]
    (tmp_path / "id").write_text('#!/bin/sh\ntest "$1" = -un && echo web || echo 1000\n')
    (tmp_path / "sudo").write_text(f"#!/bin/sh\ntest \"$*\" != '-n -v' || exit {remembers}\ncat <<'END'\n{listed}END\n")
    for name in ("id", "sudo"):
        (tmp_path / name).chmod(0o755)
    words = ["sh", "-c", sudo_question.MAY, "sudo", "postgres", "no", "psql"]
    done = subprocess.run(words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, check=False)
    assert done.returncode == status


def test_a_user_who_is_not_there_is_told(tmp_path):
    here = Target(name="here", local=True)
    ctx = Context("r1", "restore.1", LocalHost("here", target=here), {}, lambda name: None, Deadline.after(60), tmp_path)
    sudo_question.need_account(ctx, "", ("true",))
    with pytest.raises(NotReady, match="there is no user no-such-user-1") as told:
        sudo_question.need_account(ctx, "no-such-user-1", ("true",))
    assert told.value.hint == "correct `run_as`"
