"""Tools that do the same work: each runs as a separate process, as a user would start it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from bench.drill.fleet import Fleet
from bench.drill.killed import interrupt
from bench.drill.work import Work

PROGRAM = "import sys; sys.argv[0] = 'drillbook'; from drillbook.cli.program import main; main()"


@dataclass(frozen=True)
class Call:
    """A program to run, its folder and its environment."""

    argv: list[str]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    clean: Callable[[], object] = lambda: None
    """Called before each run, outside the measured time."""
    statuses: tuple[int, ...] = (0,)
    """Exit statuses of a run that did its work."""


def drillbook(fleet: Fleet, work: Work, folder: Path) -> Call:
    """The complete drill: plan, journal, locks, leases, undo, reports.

    Or the recovery of a drill whose controller was killed.
    """
    _project(fleet, work, folder)
    argv = [sys.executable, "-c", PROGRAM, "drill", "bench", "--quiet"]
    environment = {"XDG_STATE_HOME": str(folder / "state"), **compiled(folder)}
    if work.effect != "recovery":
        return Call(argv, folder, environment, lambda: shutil.rmtree(folder / "reports", True))
    marks = [fleet.disk(name) / f"made-{work.steps - 1}" for name in fleet.names]

    def killed() -> None:
        shutil.rmtree(folder / "reports", True)
        interrupt(argv, folder, environment, marks)

    return Call([sys.executable, "-c", PROGRAM, "drill.recover"], folder, environment, killed)


def _project(fleet: Fleet, work: Work, folder: Path) -> None:
    shared = {"address": "127.0.0.1", "user": fleet.user, "identity": str(fleet.key)}
    shared |= {"known_hosts": str(fleet.known_hosts)}
    lease = {"boot": "none", "kind": "watcher"}
    inventory = {
        "environment": "lab",
        "hosts": {
            name: {**shared, "port": port, "scratch": f"{fleet.disk(name)}/scratch", "lease": lease}
            for name, port in fleet.ports.items()
        },
        "groups": {"all": fleet.names},
        "services": {"app": {"kind": "process", "host": fleet.names[0]}},
    }
    for name in ("drills", "inventory"):
        (folder / name).mkdir(parents=True)
    (folder / "inventory" / "lab.yml").write_text(json.dumps(inventory))  # every JSON file is a YAML file
    drill: dict[str, object] = {"drill": "bench", "title": "Bench", "service": "app"}
    drill[PHASE[work.effect]] = steps = [_step(work, number) for number in range(work.steps)]
    if work.effect == "recovery":  # the controller is killed while it waits here, with all faults active
        wait: dict[str, object] = {"argv": ["sleep", "300"], "effect": "read"}
        drill["inject"] = [*steps, {"command.run": wait, "hosts": fleet.names[0], "timeout": "10m"}]
    drill.setdefault("verify", [{"command.run": {"argv": ["true"], "effect": "read"}, "hosts": fleet.names[0]}])
    (folder / "drills" / "bench.yml").write_text(json.dumps(drill))


def compiled(folder: Path) -> dict[str, str]:
    """Variables with which Python compiles a checkout in the round that does not count, as pip does when it installs
    a package.
    """
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}


PHASE = {"read": "verify", "write": "backup", "fault": "inject", "recovery": "inject"}


def _step(work: Work, number: int) -> dict[str, object]:
    params: dict[str, object] = {"argv": work.command(number), "effect": "fault" if work.breaks else work.effect}
    if work.effect != "read":
        params["undo"] = work.undo(number)
    if work.breaks:
        params["proof"] = work.proof(number)
    return {"command.run": params, "hosts": "all"}


def ssh(fleet: Fleet, work: Work, folder: Path) -> Call:
    """Shell script with a master connection for each host (ControlMaster), hosts in parallel."""
    folder.mkdir(parents=True)
    commands = []
    for number in range(work.steps) if work.effect != "recovery" else ():
        commands.append(work.command(number))
        if work.breaks:
            commands.append(work.proof(number))
    if work.effect != "read":
        commands += [work.undo(number) for number in reversed(range(work.steps))]
    body = "\n  ".join(f"$ssh {shlex.quote(shlex.join(argv))} || exit 1" for argv in commands)
    script = folder / "run.sh"
    script.write_text(
        f"""one() {{
  ssh="{shlex.join(["ssh", *fleet.options()])} -S {folder}/$1 -p $2 127.0.0.1"
  $ssh -M -N -f </dev/null || exit 1
  exec </dev/null
  {body}
  $ssh -O exit 2>/dev/null
}}
pids=
for host in {" ".join(f"{name}:{port}" for name, port in fleet.ports.items())}; do
  one ${{host%:*}} ${{host#*:}} & pids="$pids $!"
done
for pid in $pids; do wait $pid || exit 1; done
"""
    )
    return Call(["sh", str(script)], folder)


FABRIC = """\
import sys
from concurrent.futures import ThreadPoolExecutor
from fabric import Config, Connection
import paramiko
ports, steps, user, key, known = sys.argv[1].split(","), int(sys.argv[2]), *sys.argv[3:6]
config = Config(overrides={"load_ssh_configs": False})
def one(port):
    link = Connection("127.0.0.1", user=user, port=int(port), config=config, connect_kwargs={"key_filename": key})
    link.client.load_host_keys(known)
    for _ in range(steps):
        link.run("true", hide=True, in_stream=False)
    link.close()
with ThreadPoolExecutor(len(ports)) as pool:
    list(pool.map(one, ports))
"""


def fabric(fleet: Fleet, work: Work, folder: Path) -> Call:
    """Fabric, one connection for each host, with its defaults."""
    folder.mkdir(parents=True)
    (folder / "run.py").write_text(FABRIC)
    ports = ",".join(map(str, fleet.ports.values()))
    where = [fleet.user, str(fleet.key), str(fleet.known_hosts)]
    return Call([sys.executable, str(folder / "run.py"), ports, str(work.steps), *where], folder)


def pyinfra(fleet: Fleet, work: Work, folder: Path) -> Call:
    """pyinfra with a deploy of shell operations."""
    folder.mkdir(parents=True)
    data = {
        "ssh_hostname": "127.0.0.1",
        "ssh_user": fleet.user,
        "ssh_key": str(fleet.key),
        "ssh_known_hosts_file": str(fleet.known_hosts),
    }
    hosts = [(name, data | {"ssh_port": port}) for name, port in fleet.ports.items()]
    (folder / "inventory.py").write_text(f"hosts = {hosts!r}\n")
    (folder / "deploy.py").write_text(
        f"from pyinfra.operations import server\nfor number in range({work.steps}):\n"
        "    server.shell(name=f'step {number}', commands=['true'])\n"
    )
    return Call([_program("pyinfra"), "-y", "inventory.py", "deploy.py"], folder)


def ansible(fleet: Fleet, work: Work, folder: Path) -> Call:
    """ansible-core with pipelining, ControlPersist and a fork for each host, with the fastest module, `raw`."""
    folder.mkdir(parents=True)
    where = f"ansible_host=127.0.0.1 ansible_user={fleet.user} ansible_ssh_private_key_file={fleet.key}"
    (folder / "hosts").write_text("".join(f"{name} {where} ansible_port={port}\n" for name, port in fleet.ports.items()))
    tasks = [{"name": f"step {number}", "ansible.builtin.raw": "true"} for number in range(work.steps)]
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    environment = {
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_FORKS": str(len(fleet.ports)),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_SSH_ARGS": f"-F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={fleet.known_hosts}",
        "LC_ALL": "C.UTF-8",
    }
    return Call([_program("ansible-playbook"), "-i", "hosts", "play.yml"], folder, environment)


Way = Callable[[Fleet, Work, Path], Call]
WAYS: dict[str, Way] = {"ssh": ssh, "drillbook": drillbook, "fabric": fabric, "pyinfra": pyinfra, "ansible": ansible}
READ_ONLY = {"fabric", "pyinfra", "ansible"}
"""Tools that are measured only with reads: they have no undo of their own."""


def installed(name: str) -> bool:
    """Return True when the tool is available."""
    if name in ("drillbook", "fabric"):
        return find_spec(name) is not None
    return bool(_program({"ansible": "ansible-playbook"}.get(name, name)))


def _program(name: str) -> str:
    """Path of a program next to this Python, or on PATH, because tools may need other versions of libraries than
    Drillbook.
    """
    return shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or ""
