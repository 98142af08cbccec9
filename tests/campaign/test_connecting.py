"""Passing jobs to Dask, and handling jobs whose worker does not come back."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook import __version__
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.expected import Expected
from drillbook.campaign.scheduler import SiteState
from drillbook.errors import UsageError
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from tests.campaign.test_processes import until
from tests.needs import library
from tests.plan.test_planner import HOSTS
from tests.plan.test_spec import GOOD

library("distributed")

from drillbook.campaign import connecting, fleet  # noqa: E402  need the library

JOB = Job("c", "s0", "run-s0", "d", suite=False, inventory="i", root="")


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


@pytest.fixture
def root(tmp_path):
    (tmp_path / "drills").mkdir()
    return tmp_path


def test_dask_repeats_no_task_and_moves_none_to_another_worker(root):
    made = connecting.fleet_of("local", root, 2, carry_out=waiting)
    try:
        job = replace(JOB, root=str(root))
        until(lambda: made.who(job))
        for site in ("s0", "s1"):  # the jobs differ only in the site: Dask would share the result of a pure function
            made.submit(replace(job, site=site, run="run", place=made.who(job)))
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


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"version": "0.0.1", "name": "n"}, "the worker has Drillbook 0.0.1, but the controller has "),
        ({"error": "/srv is no project"}, "/srv is no project"),
        (ImportError("No module named drillbook"), "Drillbook cannot be used there"),
        ({"version": __version__, "name": "n"}, ""),
    ],
)
def test_a_worker_that_cannot_drill_is_not_used_and_the_reason_is_told(said, why):
    assert fleet._unfit(said).startswith(why)
    assert bool(fleet._unfit(said)) == bool(why)


def test_the_process_of_a_drill_compares_plan_and_version(root):
    (root / "sample.yml").write_text(GOOD)
    (root / "hosts.yml").write_text(HOSTS)
    plan = planner.make(spec.load(root / "sample.yml"), inventory.load(root / "hosts.yml"))
    other = "sha256:" + "0" * 64
    same = Expected("s0", {plan.drill: plan.digest}, __version__)
    assert same.differences([plan], root) == []
    assert Expected("s0").differences([plan], root) == [], "campaigns of older versions recorded no plans"
    assert Expected.of(same.as_text()) == same
    for expected in (
        replace(same, plans={plan.drill: other}),
        replace(same, plans={"x": other}),
        replace(same, version="0.1"),
    ):
        (found,) = expected.differences([plan], root)
        assert found.code == "campaign-plan-differs"
        assert plan.digest in found.measured
        assert expected.plans.get(plan.drill, "no such drill") in found.measured
        assert found.remedy
    with pytest.raises(UsageError, match="must be set by a campaign only"):
        Expected.of("s0")


class Tells:
    """Client of a cluster whose workers return the answers ``said`` to every question, by address."""

    def __init__(self, said):
        self.said = said

    def scheduler_info(self, **_):
        return {"workers": {address: {"resources": {}, "nthreads": 2} for address in self.said}}

    def run(self, function, *, workers, **_):
        return {address: self.said[address] for address in workers}


def test_a_clone_of_the_machine_of_another_worker_is_not_used(root):
    own = {"name": "0-1@vm:/srv", "version": __version__, "root": "/srv", "disk": "boot-1:64"}
    made = fleet.Fleet(no_scheduler, root, "dask")
    made._find_workers(Tells({"tls://a": own, "tls://b": own, "tls://c": {**own, "disk": "boot-2:64"}}))
    assert set(made.workers) == {"tls://a", "tls://b"}
    assert "its machine is a clone of that of tls://a" in made.refused["tls://c"]
    made.close()


def test_a_site_of_a_moved_project_ends_as_unknown_and_names_both_places(root):
    made = fleet.Fleet(no_scheduler, root, "dask", patience_s=0.1)
    try:
        made.submit(replace(JOB, root=str(root), place="0-1@vm:/old"))
        moved = {"name": "0-2@vm:/new", "version": __version__, "root": "/new", "disk": ""}
        made._connect = lambda: Tells({"tls://a": moved})
        (ending,) = until(lambda: made.wait(1))
    finally:
        made.close()
    assert ending.state is SiteState.UNKNOWN
    assert "0-1@vm:/old did not send the run" in ending.message
    assert "the project at 0-2@vm:/new was moved or copied from there" in ending.message
