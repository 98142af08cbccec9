"""Scripts of locks and leases: their folders, and what they are given."""

import shlex

import pytest

from drillbook.engine.leases import lease_folders, script
from drillbook.hosts.local import LocalHost
from drillbook.sdk import target_folders
from drillbook.sdk.host import Target


def test_where_leases_lie_is_told():
    assert lease_folders(Target(), "r") == [
        "/var/lib/drillbook/leases/r",
        "~/.local/state/drillbook/leases/r",
        "/var/tmp/drillbook/leases/r",
    ]
    assert lease_folders(Target(scratch="/srv/a b"), "r") == ["'/srv/a b/drillbook'/leases/r"]
    assert lease_folders(Target(state="/srv/state"), "r") == ["/srv/state/leases/r", "/var/tmp/drillbook/leases/r"]


def test_by_hand_and_by_shell_the_same_folder_is_meant():
    assert target_folders.parts("/var/tmp/drillbook/runs/r") == ("/var/tmp/drillbook", "runs/r")
    assert target_folders.parts("/var/tmp/drillbook-r") == ("/var/tmp/drillbook-r", ".")
    assert shlex.split(lease_folders(Target(scratch="/a b"), "r")[0]) == ["/a b/drillbook/leases/r"]


@pytest.mark.parametrize("name", ["api", ".hidden", "..", "a/b", "a b", "ü", "%2E", "-x"])
def test_each_name_has_a_folder_name_of_its_own_and_is_read_back(name):
    folder = script.folder_name(name)
    assert script.plain_name(folder) == name
    assert "/" not in folder
    assert not folder.startswith(".")


def test_a_lock_needs_a_name():
    with pytest.raises(ValueError, match="must not be empty"):
        script.folder_name("")


@pytest.mark.parametrize("text", ["", ".x", "-x", "a b", "a/b", "a\nb", "\x1b"])
def test_what_is_no_id_of_a_run_is_refused(text):
    assert script.run_id_of("20260101T000000Z-test-0001") == "20260101T000000Z-test-0001"
    with pytest.raises(ValueError, match="is not the id of a run"):
        script.run_id_of(text)


def test_a_script_has_only_the_files_that_its_function_needs():
    lock, lease, both = (str(script.program_of(name)) for name in ("lock_take", "lease_arm", "beat_all"))
    assert script.source("lock.sh") in lock
    assert script.source("lease.sh") not in lock
    assert script.source("lock.sh") not in lease
    assert script.source("lease.sh") in lease
    assert script.source("lock.sh") + script.source("lease.sh") in both
    assert "\n#" not in script.source("lease.sh")


def test_an_answer_that_cannot_be_read_is_told_with_its_words():
    error = script.unreadable(LocalHost("here"), "lock", "Welcome\nto this host\x1b")
    assert "here: the host's answer about its lock cannot be parsed: Welcome to this host" in error.message
    assert "\x1b" not in error.message
    assert script.unreadable(LocalHost("here"), "lease", "").message.endswith("nothing")
