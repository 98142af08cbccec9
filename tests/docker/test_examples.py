"""Example drills of the system `docker`, and the rehearsal of a volume's archive, run on the Docker lab."""

from __future__ import annotations

import subprocess
import uuid
from contextlib import contextmanager

import pytest

from drillbook.cli.orchestration import Orchestrator
from drillbook.judge.result import Verdict
from drillbook.plan.planner import make
from drillbook.plan.spec import load
from tests.examples import FILES, inventory_of

NAMES = sorted(name for name, path in FILES.items() if path.parts[-3] == "docker")
SECONDS = {"compose-project": 30, "docker-volume": 30}
"""Estimated duration of the longest examples; see the marker."""


def docker(*argv):
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def worker(image):
    """Container of a team with a volume and a network of its own, under names that no other test uses.

    Yields the name of the container and that of the network.
    """
    name, network, volume = (f"drillbook-test-{part}-{uuid.uuid4().hex[:8]}" for part in ("worker", "backend", "volume"))
    docker("network", "create", network)
    try:
        docker("volume", "create", volume)
        script = "echo page > /srv/worker/page; exec sleep 600"
        given = ("--network", network, "--user", "0:0", "--volume", f"{volume}:/srv/worker")
        docker("run", "--detach", "--init", "--name", name, *given, image, "sh", "-c", script)
        yield name, network
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", volume], capture_output=True, check=False)
        docker("network", "rm", network)


def state(site, *others):
    """State, memory limits and networks of each container of the lab and of ``others``, as the engine reports them."""
    form = "{{.Name}} {{.State.Status}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} "
    form += "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
    ids = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={site.lab.project}").split()
    return sorted(docker("inspect", "--format", form, *ids, *others).splitlines())


def run(site, path):
    """Run the drill in ``path``. Return the result, and the messages of the steps."""
    inventory = site.project.inventory("docker")
    _, view = Orchestrator(site.project, inventory, lambda event: None).run(make(load(path), inventory))
    return view.result, [one.message for one in view.steps]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long(SECONDS.get(name, 8))) for name in NAMES])
def test_an_example_passes_on_the_docker_lab(name, site, image):
    root = site.project.root
    for folder in ("inventory", "drills"):
        (root / folder).unlink()
        (root / folder).mkdir()
    with worker(image) as (container, network):
        before = state(site, container)
        text = inventory_of(name).replace("container: worker", f"container: {container}")
        (root / "inventory" / "docker.yml").write_text(text)
        path = root / "drills" / f"{name}.yml"
        path.write_text(FILES[name].read_text().replace("network: backend", f"network: {network}"))
        result, said = run(site, path)
        assert result.verdict is Verdict.PASSED, (result.reason, said, result.findings)
        assert result.residue == ()
        assert state(site, container) == before


@pytest.mark.long(20)
def test_an_archive_of_a_volume_is_rehearsed_and_nothing_is_left(site):
    """`backup.check` is shown from this drill."""
    before = state(site)
    result, said = run(site, site.project.drill_names()["rehearse-volume"])
    assert result.verdict is Verdict.PASSED, (result.reason, said, result.findings)
    assert result.residue == ()
    facts = {step.action: step.facts for step in result.steps}
    assert facts["backup.restore"]["unreachable"]
    assert 0 <= facts["backup.measure"]["loss_s"] < 3600, "no hour of a time zone"
    assert state(site) == before
    left = ["docker", "exec", site.lab.container("app"), "test", "-e", "/home/drill/volumes"]
    assert subprocess.run(left, capture_output=True, check=False).returncode == 1
