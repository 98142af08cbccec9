"""Commands of every action: declared in advance, or of a program that sudo is asked about before the drill."""

import socket
from contextlib import suppress

import psycopg
import pytest

from drillbook.engine import unlisted_commands
from drillbook.engine.steps import for_ready
from drillbook.hosts.fake import FakeHost, Reply
from drillbook.plan import planner, privilege, spec
from drillbook.plan.planned_step import PlannedStep
from drillbook.project.project import Project
from drillbook.sdk import host_needs
from drillbook.sdk.action import Context, find, known_names
from drillbook.sdk.become import Become
from drillbook.sdk.host import Deadline, ManagerConfig, as_user
from drillbook.sdk.host_needs import HostNeeds
from drillbook.values import Secret
from tests.examples import FILES, inventory_of

OWNER = "owner"
SWITCH = as_user(OWNER)[:4]
NAMED = ("command.", "content.", "docker.exec", "ansible.", "diagnosis.")
"""Actions whose commands depend on a drill or a tree."""


class Agreeable(FakeHost):
    """Host on which every command succeeds and prints the number 7."""

    def _handler(self, argv):
        return Reply(stdout=b"7\n")


class Place:
    """Stage as `ways_of` reads it: a plan on an inventory, with an account for each host."""

    def __init__(self, plan, become, *, sudo):
        inventory = plan.inventory
        hosts = {
            name: target.model_copy(update={"become": become, "manager": ManagerConfig(kind="systemd", sudo=sudo)})
            for name, target in inventory.hosts.items()
        }
        services = {name: service.model_copy(update=elsewhere(service)) for name, service in inventory.services.items()}
        changed = inventory.model_copy(update={"hosts": hosts})
        changed.__dict__["services"] = services
        self.plan = plan.model_copy(update={"inventory": changed})
        self.hosts = {name: Agreeable(name, target=target) for name, target in hosts.items()}

    def become(self, step, host):
        planned = next(one for one in self.plan.steps if one.id == step)
        return privilege.of_step(self.plan.inventory, planned, host)

    def host(self, name):
        return self.hosts[name] if name in self.hosts else self.hosts.setdefault(name, Agreeable(name))

    def context(self, step, host, folder):
        return Context(
            run_id="20261128T155024.406Z-site-427a",
            step=step.id,
            host=self.host(host),
            services=self.plan.inventory.services,
            host_named=self.host,
            deadline=Deadline.after(0.5),
            folder=folder,
            hosts=self.plan.inventory.hosts,
        )


def elsewhere(service):
    """Fields that refer to nothing, and the user of the service's own tools."""
    fields = type(service).model_fields
    wanted = {
        "run_as": OWNER,
        "port": 1,
        "url": "http://127.0.0.1:1",
        "endpoint": "http://127.0.0.1:1",
        "unit": service.unit,
    }
    return {key: value for key, value in wanted.items() if key in fields}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No program of this machine is started."""

    def refuse(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(psycopg, "connect", refuse)


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """Plans of all example drills and shipped drills, on the inventories of the labs."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for name, path in [*FILES.items()]:
            root = tmp_path_factory.mktemp(name)
            patch.setenv("DRILLBOOK_LAB", str(root / "lab"))
            for folder in ("drills", "inventory"):
                (root / folder).mkdir()
            (root / "inventory" / "lab.yml").write_text(inventory_of(name))
            found.append(planner.make(spec.load(path), Project(root).inventory("lab")))
    return found


def shown(plans, name, become, *, sudo):
    """All steps with the action, each with its place and host."""
    for plan in plans:
        steps = [step for step in plan.steps if isinstance(step, PlannedStep) and step.action == name]
        place = Place(plan, become, sudo=sudo) if steps else None
        for step in steps:
            for host in place.plan.hosts():
                if privilege.acts(place.plan, step, host):
                    yield place, step, host


def started(place, step, folder):
    """Commands that the action starts on hosts where every command succeeds, until it fails at an unexpected answer."""
    action = for_ready(step, place.plan.names({"id": "run", "folder": str(folder), "started": "2026-11-28T15:50:24Z"}))
    for host in step.hosts:
        ctx = place.context(step, host, folder)
        for part in ("ready", "undo", "inject", "run", "active", "programs"):
            with suppress(Exception):
                getattr(action, part)(ctx)
        with suppress(Exception):
            yield from ((host, tuple(argv)) for argv in action.undo(ctx).commands)
    for name, host in place.hosts.items():
        yield from ((name, call.argv) for call in host.calls)


def listed(place, step, host, folder):
    ctx = place.context(step, host, folder)
    action = for_ready(step, place.plan.names({"id": "run", "folder": str(folder), "started": "2026-11-28T15:50:24Z"}))
    with suppress(Exception):
        return {tuple(argv) for argv in action.commands(ctx) or ()}
    return set()


@pytest.mark.parametrize("name", known_names())
def test_every_action_that_becomes_another_user_declares_its_commands(name, plans, tmp_path):
    needs = host_needs.of(name) or HostNeeds()
    for become, sudo in ((Become(), False), (None, True)):
        for place, step, host in shown(plans, name, become, sudo=sudo):
            ways = list(unlisted_commands.ways_of(place, step, host))
            lists = find(name).lists_commands(step.params)
            assert not (lists and ways), "the commands are listed and asked for one by one"
            if place.become(step.id, host):
                assert ways or lists or not (needs.programs or needs.rights)
            if lists or name.startswith(NAMED):
                continue
            for where, argv in started(place, step, tmp_path):
                if where == host:
                    covered(argv, become, ways, needs)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("net.resolve", {"name": "db-1"}),
        ("net.route", {"to": "main"}),
        ("port.occupy", {"port": 8080}),
        ("process.usage", {"pid": 7, "seconds": "2s"}),
    ],
)
def test_sudo_is_not_asked_about_programs_that_only_scripts_start(name, params, plans):
    """Rules that allow `sh -c` are sufficient. With a password, actions declare no commands."""
    become = Become(password=Secret(source="env", name="PASSWORD_OF_SUDO"))
    place, step, host = next(shown(plans, "process.usage", become, sudo=False))
    step = step.model_copy(update={"action": name, "params": params})
    place.become = lambda step, host: become
    (way,) = unlisted_commands.ways_of(place, step, host)
    assert unlisted_commands.SHELL in way.wanted
    assert {argv[0] for choice in way.wanted for argv in choice} == {"sh", *host_needs.BARE}


def covered(argv, become, ways, needs):
    """sudo is asked about the program of each command, for the account that runs it."""
    if become:
        words, account = argv, "root"
    elif argv[:4] == SWITCH:
        words, account = argv[5:], argv[4]
    elif argv[:2] == ("sudo", "-n"):
        words, account = argv[2:], "root"
    else:
        return
    wanted = [other for way in ways if way.account.user == account for choice in way.wanted for other in choice]
    wanted = [other[2:] if other[:2] == ("sudo", "-n") else other for other in wanted]
    names = {other[0].rpartition("/")[2] for other in wanted if other[-1] == unlisted_commands.ANY}
    program = words[0].rpartition("/")[2]
    assert program in names or words in wanted or program in {"systemctl", "journalctl", "true"}, (account, words[:6])
