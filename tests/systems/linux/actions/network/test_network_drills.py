"""Whole drills and examples with faults of the network, between three machines."""

import contextlib
import subprocess

import pytest

from drillbook.cli.orchestration import Orchestrator
from drillbook.inventory import inventory
from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from tests.examples import replaced
from tests.needs import need
from tests.systems.linux.actions.network.machines import PEER, PORT, TARGET, can_delay


@pytest.mark.parametrize("name", ["network.drop", "path.cut"])
def test_a_drill_with_it_passes(far, tmp_path, name):
    """With plan, journal, lease, proofs and undo; each with its restore: by `path.cut` behind a relay without `control`."""
    (tmp_path / "drills").mkdir()
    (tmp_path / "hosts.yml").write_text(
        f"environment: lab\nhosts:\n  far: {{address: {TARGET}, port: {far.sshd.port}, user: {far.sshd.user}, "
        f"identity: {far.sshd.client_key}, known_hosts: {far.sshd.known_hosts}, scratch: {far.folder}, lease: {{boot: none}}}}\n"
        f"  peer: {{address: {PEER}}}\n"
        "services:\n  app: {kind: process, host: far}\n"
        f"  path: {{kind: relay, host: far, address: {PEER}, port: {PORT}, reach: ssh, to: behind}}\n"
        f"  behind: {{kind: redis, host: peer, address: {PEER}, port: {PORT}}}\n"
    )
    connect = (
        f"command.run: {{argv: [timeout, '5', bash, -c, 'exec 3<>/dev/tcp/{PEER}/{PORT}'], effect: read}}\n    hosts: far\n"
    )
    cut = {
        "network.drop": (
            f"network.drop: {{peer: {PEER}, peer_port: {PORT}}}\n    hosts: far\nrestore:\n"
            f"  - network.open: {{peer: {PEER}, peer_port: {PORT}}}\n    hosts: far\n"
        ),
        "path.cut": "path.cut: {service: path}\nrestore:\n  - path.open: {service: path}\n",
    }[name]
    (tmp_path / "drills" / "cut.yml").write_text(
        f"drill: cut\ntitle: Cut off from a peer\nservice: app\nready:\n  - {connect}inject:\n  - {cut}verify:\n  - {connect}"
    )
    found = inventory.load(tmp_path / "hosts.yml")
    made = planner.make(spec.load(tmp_path / "drills" / "cut.yml"), found)
    folder, view = Orchestrator(Project(tmp_path), found, lambda event: None).run(made)
    events = read(folder / FILE).events
    proofs = [(event.kind, event.data["active"]) for event in events if event.kind in ("fault.active", "fault.gone")]
    assert proofs == [("fault.active", True), ("fault.gone", False)], (view.result.reason, view.result.findings)
    assert [event.data["what"] for event in events if event.kind == "lease.armed"] == [name]
    assert view.result.residue == ()
    assert view.result.verdict is Verdict.PASSED, view.result.reason


EXAMPLES = {
    "linux-capture": (),
    "linux-filters": (),
    "linux-network-delay": (("10.0.0.7", PEER), ("5432", str(PORT))),
    "linux-network-drop": (("10.0.0.7", PEER), ("5432", str(PORT))),
    "linux-network-reset": (("8000", str(PORT)),),
}
"""Names of examples, and what is replaced in each."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_passes_between_these_machines(far, tmp_path, name):
    """On a kernel without sch_netem, the example with a delay is refused, with the remedy, and injects nothing."""
    if name == "linux-capture":
        need("tcpdump")
    host = (
        f"{{address: {TARGET}, port: {far.sshd.port}, user: {far.sshd.user}, identity: {far.sshd.client_key}, "
        f"known_hosts: {far.sshd.known_hosts}, scratch: {far.folder}/NAME, lease: {{boot: none}}}}"
    )
    (tmp_path / "hosts.yml").write_text(
        f"environment: lab\nhosts:\n  app-1: {host}\n  db-1: {host}\n".replace("/NAME", "/a", 1).replace("/NAME", "/b")
        + f"services:\n  api: {{kind: http, host: app-1, url: 'http://{TARGET}:{PORT}', port: {PORT}}}\n"
        f"  database: {{kind: redis, host: db-1, address: {PEER}, port: {PORT}}}\n"
    )
    (tmp_path / f"{name}.yml").write_text(replaced(name, *EXAMPLES[name]))
    found = inventory.load(tmp_path / "hosts.yml")
    made = planner.make(spec.load(tmp_path / f"{name}.yml"), found)
    with connecting(far):
        folder, view = Orchestrator(Project(tmp_path), found, lambda event: None).run(made)
    assert view.result.residue == ()
    if name == "linux-network-delay" and not can_delay(far):
        assert view.result.verdict is Verdict.REFUSED, view.result
        (found,) = view.result.findings
        assert (found.code, "sch_netem" in found.remedy) == ("not-ready", True), found
        assert "its kernel cannot delay packets: " in found.measured
        assert not [event.kind for event in read(folder / FILE).events if event.kind.startswith("fault.")]
        return
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    if name == "linux-capture":
        assert view.result.steps[0].facts["connections"] > 0
    proofs = [(event.kind, event.data["active"]) for event in read(folder / FILE).events if event.kind.startswith("fault.")]
    assert proofs == ([("fault.active", True), ("fault.gone", False)] if "-network-" in name else [])


@contextlib.contextmanager
def connecting(far):
    """Connect to the target's port again and again, from the target itself."""
    script = 'while :; do (exec 3<>"/dev/tcp/$0/$1"); sleep 0.1; done'
    child = subprocess.Popen(
        [*far.target.enter, "bash", "-c", script, TARGET, str(PORT)], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        child.kill()
        child.wait()
