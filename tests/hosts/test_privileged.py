"""Command that passes environment and folder to another account: no part of its input runs as shell text."""

import os
import subprocess

from drillbook.hosts.fake import FakeHost
from drillbook.hosts.privileged import MARK, PrivilegedHost
from drillbook.sdk.become import Become
from drillbook.sdk.host import as_user

SHOW = ("sh", "-c", 'printf "%s|" "$A" "$B" "$PWD" "${_drillbook-none}"; cat')


def without_sudo(words):
    wrapper = as_user("root")
    assert words[: len(wrapper)] == wrapper
    return words[len(wrapper) :]


def order(argv, **options):
    host = PrivilegedHost(FakeHost("far"), Become())
    words, head = host.order(argv, **options)
    return without_sudo(words), head


def run(words, stdin):
    return subprocess.run(words, input=stdin, capture_output=True, timeout=60, check=False, env={"PATH": os.environ["PATH"]})


def test_values_of_any_text_reach_the_command_and_leave_its_input(tmp_path):
    folder = tmp_path / "it's -a folder"
    folder.mkdir()
    value = "it's\n$(id) `id`\n\n"
    words, head = order(SHOW, env={"A": value, "B": "", "PATH": os.environ["PATH"]}, cwd=str(folder))
    done = run(words, head + b"typed\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{value}||{folder}|none|typed\n".encode()


def test_a_path_of_its_own_does_not_hide_the_programs_that_read_the_values():
    words, head = order(("/usr/bin/env",), env={"PATH": "/nowhere", "Z": "z"})
    assert {"PATH=/nowhere", "Z=z"} <= {*run(words, head).stdout.decode().split("\n")}


def test_an_unused_password_is_skipped():
    words, head = order(SHOW, env={"A": "a"})
    assert run(words, b"open sesame\n" + head).stdout.startswith(b"a|")


def test_the_command_names_its_variables_and_its_folder_but_no_value():
    words, head = order(("true",), env={"A": "hidden"}, cwd="/srv")
    assert words[3:] == ("sh", "/srv", "A", "--", "true")
    assert "hidden" not in " ".join(words)
    assert b"hidden" in head


def test_shell_text_in_the_input_is_not_run():
    words, _ = order(("true",), env={"A": "a"})
    for text in (b"echo evil; echo all", b"A=$(echo evil >&2)", b"x[$(echo evil >&2)]", b"1\necho evil"):
        for head in (f"{MARK}\n".encode() + text, f"{MARK} {len(text)}\n".encode() + text, text):
            done = run(words, head + b"\nall\n")
            assert b"evil" not in done.stdout + done.stderr.replace(text, b"")
    done = run(words, f"{MARK}\n1\naall\n".encode())
    assert done.returncode == 0


def test_input_that_breaks_off_does_not_start_the_command():
    words, head = order(("echo", "started"), env={"A": "hidden"})
    for end in range(len(head)):
        done = run(words, head[:end])
        assert (done.returncode, done.stdout) == (126, b""), end
