"""Waiting for a server in a sandbox, with clients that answer like the real one during a start."""

import subprocess

import pytest

from drillbook.systems.mariadb import disposable_server

CLIENT = """#!/bin/sh
echo . >> asked
test "$(wc -l < asked)" -gt {failures} && { echo "<resultset/>"; exit 0; }
echo "{said}" >&2
exit 1
"""


def waited(folder, said, failures):
    """Result of the wait with a client that fails this often with these words."""
    (folder / "client").write_text(CLIENT.replace("{failures}", str(failures)).replace("{said}", said))
    (folder / "client").chmod(0o755)
    argv = ["sh", "-c", disposable_server._WAIT, "sh", "./client"]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "said",
    [
        "ERROR 2002 (HY000): Can't connect to local server through socket 'mariadb.sock' (2)",
        "ERROR 1045 (28000): Access denied for user 'drillbook'@'localhost'",
    ],
)
def test_a_server_that_is_starting_is_asked_again(tmp_path, said):
    ended = waited(tmp_path, said, failures=3)
    assert (ended.returncode, ended.stdout) == (0, "<resultset/>\n")


def test_an_error_that_no_waiting_removes_ends_the_wait_with_its_text(tmp_path):
    said = "ERROR 1356 (HY000) at line 1: View 'information_schema.TABLES' references invalid table(s)"
    ended = waited(tmp_path, said, failures=1000)
    assert (ended.returncode, ended.stderr) == (1, f"{said}\n")
    assert (tmp_path / "asked").read_text() == ".\n"


def test_a_server_that_has_exited_ends_the_wait_with_its_log(tmp_path):
    (tmp_path / "server.status").write_text("1\n")
    (tmp_path / "server.log").write_text("[ERROR] Aborting\n")
    ended = waited(tmp_path, "ERROR 2002 (HY000): Can't connect", failures=1000)
    assert (ended.returncode, ended.stderr) == (1, "[ERROR] Aborting\n")
