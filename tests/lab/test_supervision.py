"""Client of the supervisors on the lab's hosts."""

import socket

from drillbook.lab import processes, supervision
from tests.lab.looking import supervisor
from tests.waiting import until


def test_the_pid_of_each_program_is_that_of_a_running_process(lab):
    pids = supervision.pids(lab.home("db-1"))
    assert set(pids) == {"postgresql", "shop"}
    assert pids["shop"] == 0
    assert processes.find(pids["postgresql"]) is not None


def test_a_program_is_started_and_an_unknown_one_is_no_error(lab):
    home = lab.home("app-1")
    supervisor(lab, "app-1", "stop", "traffic")
    assert supervision.pids(home)["traffic"] == 0
    supervision.start(home, ["nothing", "traffic"])
    until(lambda: supervision.pids(home)["traffic"], "the start of the program")
    supervision.start(home, ["traffic"])


def test_without_a_supervisor_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert supervision.pids(tmp_path) is None
    supervision.start(tmp_path, ["traffic"])
    with socket.socket(socket.AF_UNIX) as left:
        left.bind("supervisor.sock")
        assert supervision.pids(tmp_path) is None
