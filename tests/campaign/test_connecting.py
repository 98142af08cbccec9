"""Passing jobs to Dask, and handling jobs whose worker does not come back."""

import asyncio
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook import __version__
from drillbook.campaign.attempt import Ending
from drillbook.campaign.scheduler import SiteState
from drillbook.errors import UsageError
from tests.campaign.answering import JOB, OWN, Tells
from tests.campaign.test_processes import until
from tests.needs import library

library("distributed")

from drillbook.campaign import connecting, fleet, roster, worker  # noqa: E402  need the library


def waiting(job):
    """Wait for the file `go`, then end the job."""
    while not (Path(job.root) / "go").exists():
        time.sleep(0.05)
    return Ending(job.site, SiteState.PASSED, message=str(os.getpid())).as_data()


def rules_of_tasks(dask_scheduler):
    """Settings of the scheduler for its tasks: retries, and workers to which they are bound."""
    tasks = {key: task.retries for key, task in dask_scheduler.tasks.items() if str(key).startswith("drillbook-")}
    bound = [sorted(task.worker_restrictions) for key, task in dask_scheduler.tasks.items() if key in tasks]
    loose = [task.loose_restrictions for key, task in dask_scheduler.tasks.items() if key in tasks]
    return dask_scheduler.allowed_failures, tasks, bound, loose


def test_dask_repeats_no_task_and_moves_none_to_another_worker(root):
    made = connecting.fleet_of("local", root, 2, carry_out=waiting)
    try:
        job = replace(JOB, root=str(root))
        until(lambda: made.who(job))
        for site in ("s0", "s1"):  # equal but for the site: pure functions would share one result
            made.submit(replace(job, site=site, run="run", place=until(lambda: made.who(job))))
        until(lambda: len(made._client.run_on_scheduler(rules_of_tasks)[1]) == 2)
        allowed, tasks, bound, loose = made._client.run_on_scheduler(rules_of_tasks)
        assert allowed == 0
        assert set(tasks.values()) == {0}
        assert all(len(workers) == 1 for workers in bound)
        assert not any(loose)
        (root / "go").touch()
        found = []
        until(lambda: found.extend(made.wait(1)) or len(found) == 2)
        assert {ending.state for ending in found} == {SiteState.PASSED}
    finally:
        made.close()


def no_scheduler():
    raise OSError("nobody answers")


def test_a_site_whose_place_does_not_come_back_ends_as_unknown_with_the_command_that_examines_it(root):
    made = fleet.Fleet(no_scheduler, root, "dask", patience_s=0.1)
    try:
        made.submit(replace(JOB, root=str(root), place="0123@elsewhere:/project"))
        (ending,) = until(lambda: made.wait(1))
    finally:
        made.close()
    assert ending.state is SiteState.UNKNOWN
    assert "because 0123@elsewhere:/project did not send the run" in ending.message
    assert "drill.recover run-s0" in ending.message


def test_a_site_of_a_moved_project_ends_as_unknown_and_names_both_places(joined):
    made = joined(Tells({"tls://a": {**OWN, "name": "0-2@vm:/new"}}), patience_s=0.1)
    made.told()
    made.submit(replace(JOB, place="0-1@vm:/old"))
    (ending,) = until(lambda: made.wait(1))
    assert ending.state is SiteState.UNKNOWN
    assert "0-1@vm:/old did not send the run" in ending.message
    assert "its project was moved or copied to 0-2@vm:/new, where a worker answers" in ending.message


def test_a_worker_that_hangs_blocks_neither_the_others_nor_the_campaign(joined, monkeypatch):
    monkeypatch.setattr(roster, "ASK_S", 5)
    made = joined(Tells({"tls://hangs": None, "tls://good": OWN}))
    until(lambda: made.who(JOB) == OWN["name"])
    made.submit(replace(JOB, site="other", place="9-9@nowhere:/"))
    assert made.cancel(replace(JOB, site="other"))
    (ending,) = made.wait(0.1)
    assert (ending.site, ending.state) == ("other", SiteState.REFUSED)
    assert "tls://hangs" in made._roster.asking


class Ended:
    """Future of a job that has ended."""

    status = "finished"

    def __init__(self, job):
        self.job = job

    def result(self, timeout):
        return Ending(self.job.site, SiteState.PASSED, run=self.job.run).as_data()

    def add_done_callback(self, function):
        function(self)


class Slow(Tells):
    """Client of a worker whose jobs end at once, and which sends their runs only when ``go`` is set."""

    def __init__(self):
        super().__init__({"tls://a": OWN})
        self.go, self.sending, self.submitted = threading.Event(), [], []

    def submit(self, function, job, **_):
        self.submitted.append(job.site)
        return Ended(job)

    async def run(self, answer, function, *values, workers, nanny):
        if function is worker.manifest:
            self.sending += values
            while not self.go.is_set():
                await asyncio.sleep(0.01)
            return {workers[0]: worker.Answer({})}
        return await super().run(answer, function, *values, workers=workers, nanny=nanny)


def test_slow_transfers_hold_neither_an_approval_nor_a_request_to_stop(joined, root):
    client = Slow()
    made = joined(client, patience_s=20)
    until(lambda: made.who(JOB))
    jobs = [replace(JOB, site=f"s{number}", run=f"run-{number}", root=str(root), place=OWN["name"]) for number in range(4)]
    jobs[0].folder.mkdir(parents=True)
    for name in ("approval.json", "approval.json.sig"):
        (jobs[0].folder / name).write_text("")
    try:
        for job in jobs[:3]:
            made.submit(job)
        until(lambda: client.sending)
        made.submit(replace(jobs[3], approved=True))
        until(lambda: "s3" in client.submitted, 10)
        assert ("tls://a", "keep_approval") in client.asked
        until(lambda: made.cancel(jobs[0]), 10)
        assert made.wait(0) == []
    finally:
        client.go.set()


@pytest.fixture
def one_place(root):
    """A cluster on this machine for ``carry_out``; returns a fleet, and a function that makes a job for its place."""
    started = []

    def make(carry_out):
        made = connecting.fleet_of("local", root, 20, carry_out=carry_out)
        started.append(made)
        job = replace(JOB, root=str(root))
        where = until(lambda: made.who(job))
        return made, lambda site, **more: replace(job, site=site, run=f"run-{site}", place=where, **more)

    yield make
    for one in started:
        one.close()


def noted(job):
    with (Path(job.root) / "tries").open("a") as file:
        file.write(f"{job.site}\n")


def breaks(job):
    """Fail as when the disk of the worker is broken."""
    noted(job)
    raise OSError(5, "Input/output error")


def dies(job):
    """End the process of the worker."""
    noted(job)
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_error_of_the_disk_at_a_worker_ends_the_site_as_unknown(one_place, root, monkeypatch):
    monkeypatch.setattr(fleet, "PAUSE_S", 0.01)
    made, job = one_place(breaks)
    made.submit(job("s0"))
    (ending,) = until(lambda: made.wait(1))
    assert ending.state is SiteState.UNKNOWN
    assert "OSError: [Errno 5] Input/output error" in ending.message
    assert len((root / "tries").read_text().splitlines()) == fleet.FAILURES


def test_a_job_that_always_kills_its_worker_ends_as_unknown(one_place, root, monkeypatch):
    monkeypatch.setattr(fleet, "LOSSES", 3)
    made, job = one_place(dies)
    made.submit(job("s0"))
    (ending,) = until(lambda: made.wait(1), 120)
    assert ending.state is SiteState.UNKNOWN
    assert "3 workers of the place were lost while this site was assigned to them" in ending.message
    assert len((root / "tries").read_text().splitlines()) == 3


def test_a_connection_that_breaks_often_is_no_lost_worker(one_place, root, monkeypatch):
    monkeypatch.setattr(fleet, "LOSSES", 2)
    made, job = one_place(waiting)
    made.submit(job("s0"))
    pending = made._pending["s0"]
    for _ in range(3):
        before = until(lambda: pending.future)
        client = made._client
        client.loop.add_callback(client.scheduler_comm.comm.abort)
        until(lambda before=before: pending.future not in (None, before))
    (root / "go").touch()
    (ending,) = until(lambda: made.wait(1))
    assert (ending.state, pending.losses) == (SiteState.PASSED, 0), ending


def full(job, files):
    raise OSError(28, "No space left on device")


def test_a_full_disk_at_one_place_fails_its_sites_alone(one_place, root, monkeypatch):
    monkeypatch.setattr(fleet, "PAUSE_S", 0.01)
    monkeypatch.setattr(worker, "keep_approval", full)
    monkeypatch.setattr(worker, "approval", lambda job: {})
    made, job = one_place(waiting)
    made.submit(job("good"))
    until(lambda: made._pending["good"].future)
    first = made._pending["good"].future
    made.submit(job("bad", approved=True))
    (bad,) = until(lambda: made.wait(1))
    assert (bad.site, bad.state) == ("bad", SiteState.UNKNOWN)
    assert "No space left on device" in bad.message
    assert made._pending["good"].future is first, "the healthy drill keeps its worker"
    (root / "go").touch()
    (good,) = until(lambda: made.wait(1))
    assert (good.site, good.state) == ("good", SiteState.PASSED)


def test_a_scheduler_without_drillbook_is_refused():
    def connect():
        raise ModuleNotFoundError("No module named 'drillbook'")

    with pytest.raises(UsageError, match="the scheduler at tcp://x cannot be examined: No module named") as error:
        connecting._checked("tcp://x", connect)
    assert f"install Drillbook {__version__} where the scheduler runs" in error.value.hint
