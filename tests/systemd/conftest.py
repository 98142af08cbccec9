"""Machine with a real systemd: a separate container, reached by SSH as three users.

The container is not privileged: systemd needs mounts, so it gets CAP_SYS_ADMIN, and a separate view of the control
groups.
"""

import contextlib
import subprocess
import time
import uuid

import pytest

from drillbook.errors import HostError, LabError
from drillbook.hosts.open import open_host
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, ManagerConfig, Target
from drillbook.sdk.manager import manager_of
from drillbook.sdk.service import Http
from tests.hosts.servers import new_key
from tests.needs import docker_engine, missing
from tests.ports import free_port
from tests.systemd import image

PATIENCE = 180
MANAGERS = {"root": ManagerConfig(), "ops": ManagerConfig(sudo=True), "app": ManagerConfig(user=True)}
SCRATCH = "/var/tmp/100% $HOME of {}'s"
"""Folder in a place that other users cannot enter, with characters that systemd interprets in commands."""
OPTIONS = (
    "--cap-add",
    "SYS_ADMIN",
    "--security-opt",
    "seccomp=unconfined",
    "--security-opt",
    "apparmor=unconfined",
    "--cgroupns",
    "private",
    "--tmpfs",
    "/run",
    "--tmpfs",
    "/run/lock",
    "--tmpfs",
    "/tmp",
)
PASSWORDS = "/etc/pam.d/common-auth"
"""File that sets a delay of two seconds after each wrong password; tests of these remove it."""
# Everything of Drillbook that must be gone at the end: units, their links, files, processes.
LEFT = """
find / -xdev -name '*drillbook*' -not -path '/proc/*' 2>/dev/null
find /run -name '*drillbook*' 2>/dev/null
systemctl list-units --all --plain --no-legend 'drillbook*'
systemctl --user -M app@ list-units --all --plain --no-legend 'drillbook*'
grep -a '[d]rillbook' /proc/[0-9]*/cmdline 2>/dev/null | tr '\\000' ' '
exit 0
"""


def until(held, what="the condition"):
    end = time.monotonic() + PATIENCE
    while not (value := held()):
        assert time.monotonic() < end, f"{what} did not come true within {PATIENCE} s"
        time.sleep(0.1)
    return value


class Machine:
    """The container; its hosts are opened again for each test."""

    def __init__(self, folder, made_of, volumes=()):
        self.name, self.folder, self.port = f"drillbook-test-{uuid.uuid4().hex[:8]}", folder, free_port()
        keys = folder / "keys"
        keys.mkdir()
        host_key, self.client_key = new_key(keys / "host_key"), new_key(folder / "client_key")
        (keys / "authorized_keys").write_text(self.client_key.with_suffix(".pub").read_text())
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host_key.with_suffix('.pub').read_text()}")
        self.opened = []
        docker(
            "run",
            "--detach",
            "--name",
            self.name,
            *OPTIONS,
            "--volume",
            f"{keys}:/mnt/keys:ro",
            *(word for volume in volumes for word in ("--volume", volume)),
            "--publish",
            f"127.0.0.1:{self.port}:22",
            made_of,
        )

    def root(self, script):
        """Output of a script that root runs on the machine, without Drillbook."""
        return docker("exec", "--interactive", self.name, "sh", "-s", stdin=script)

    def host(self, user, manager=None, **more):
        """New SSH connection as ``user``, with the matching service manager."""
        target = Target(
            name=user,
            address="127.0.0.1",
            port=self.port,
            user=user,
            identity=str(self.client_key),
            known_hosts=str(self.known_hosts),
            manager=manager or MANAGERS[user],
            **{"scratch": SCRATCH.format(user), **more},
        )
        host = open_host(target, targets={user: target})
        self.opened.append(host)
        return host

    def up(self):
        """Wait until the machine has started and the systemd of every user answers."""

        def answered(user):
            with contextlib.suppress(HostError):
                host = self.host(user)
                return host.run(manager_of(host).query("steady"), deadline=Deadline.after(20)).ok
            return False

        until(
            lambda: (
                docker("exec", self.name, "systemctl", "is-system-running", check=False).strip() in ("running", "degraded")
            ),
            "the start of the machine",
        )
        for user in MANAGERS:
            until(lambda user=user: answered(user), f"an answer for {user}")
        self.disconnect()

    def reboot(self):
        """Reboot: systemd stops everything in order, and starts again."""
        self.disconnect()
        docker("restart", "--time", "60", self.name)
        self.up()

    def lose_power(self):
        """Power loss: everything ends at once, and starts again."""
        self.disconnect()
        docker("kill", "--signal", "KILL", self.name)
        docker("start", self.name)
        self.up()

    def disconnect(self):
        for host in self.opened:
            host.close()
        self.opened.clear()

    def left(self):
        return self.root(LEFT)

    def clear(self):
        """Stop the units of the tests, and remove everything that a failed test left."""
        names = "steady needs again ends reads woken.socket woken quick"
        self.root(
            f"systemctl stop {names}; systemctl reset-failed; systemctl --user -M app@ stop {names}; "
            "systemctl --user -M app@ reset-failed; "
            "find /etc/systemd /home/app/.config /var/tmp -name '*drillbook*' -exec rm -rf {} + 2>/dev/null; true"
        )

    def remove(self):
        self.disconnect()
        docker("rm", "--force", "--volumes", self.name, check=False)


def docker(*words, check=True, stdin=""):
    done = subprocess.run(["docker", *words], input=stdin, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0 or not check, (words, done.stdout, done.stderr)
    return done.stdout


@contextlib.contextmanager
def booted(folder, ready, volumes=()):
    """Machine of the image that ``ready`` builds, during the block, with the ``volumes`` of this machine."""
    docker_engine()
    try:
        name = ready()
    except LabError as error:
        missing(error.message)
    made = Machine(folder, name, volumes)
    try:
        made.up()
        made.root(f"sed -i 's/pam_unix.so/& nodelay/' {PASSWORDS} && grep -q nodelay {PASSWORDS}")
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def container(tmp_path_factory):
    with booted(tmp_path_factory.mktemp("systemd"), image.ready) as made:
        yield made


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    """Host with PostgreSQL, Redis and nginx as Debian's packages install them."""
    with booted(tmp_path_factory.mktemp("debian"), image.debian) as made:
        yield made


@pytest.fixture(autouse=True)
def settled(request, monkeypatch):
    """Units of these tests start immediately or never; ``own_time`` is for a test of the configured time."""
    if "own_time" not in request.fixturenames:
        monkeypatch.setattr("drillbook.sdk.manager.systemd.SETTLED_S", 0.1)


@pytest.fixture
def own_time():
    """Time as in a drill."""


@pytest.fixture
def machine(container):
    """The machine without any unit or file of other tests."""
    yield container
    container.disconnect()
    container.clear()


@pytest.fixture(params=list(MANAGERS))
def user(request):
    return request.param


class Unit:
    """Unit of the machine as a service of the inventory, for one user."""

    def __init__(self, machine, user, name, folder):
        self.machine, self.name, self.folder = machine, name, folder
        self.host = machine.host(user)
        self.manager = manager_of(self.host)
        self.run = f"run-{uuid.uuid4().hex[:8]}"
        self.services = {
            "it": Http(name="it", host=user, url="http://127.0.0.1:1", unit=name, env_file=f"/var/tmp/{user}.env")
        }

    def ctx(self, step="inject.1"):
        return Context(
            run_id=self.run,
            step=step,
            host=self.host,
            services=self.services,
            host_named=lambda name: self.host,
            deadline=Deadline.after(PATIENCE),
            folder=self.folder,
        )

    def state(self, name=""):
        return self.manager.state(self.host, name or self.name, Deadline.after(PATIENCE))

    def systemctl(self, *words):
        """Output of systemctl for the user's own systemd."""
        argv = (
            *MANAGERS[self.host.name].sudo * ("sudo", "-n"),
            "systemctl",
            *MANAGERS[self.host.name].user * ("--user",),
            *words,
        )
        return self.host.run(argv, deadline=Deadline.after(PATIENCE)).text

    def undo(self, undo):
        """Run the commands of the undo in order, as a lease does."""
        for argv in undo.commands:
            self.host.run(argv, deadline=Deadline.after(PATIENCE)).check()

    def cycle(self, fault, while_active=lambda: None):
        """Check, inject, prove, undo, prove that it is gone, and undo again."""
        ctx = self.ctx()
        fault.ready(ctx)
        undo = fault.undo(ctx)
        fault.inject(ctx)
        until(lambda: fault.active(ctx), "the fault")
        while_active()
        for _ in range(2):
            self.undo(undo)
            until(lambda: not fault.active(ctx), "the end of the fault")


@pytest.fixture
def unit(machine, user, tmp_path):
    """``unit(NAME)`` is a running unit of the user; with ``started=False`` it is not started."""

    def made(name, *, started=True):
        one = Unit(machine, user, name, tmp_path)
        if started:
            one.manager.ensure(one.host, name, "running", Deadline.after(PATIENCE))
        return one

    return made
