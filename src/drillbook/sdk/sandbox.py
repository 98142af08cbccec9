"""Sandboxes for restores. A sandbox is a private folder on a host, and the processes that run in it. With the isolation
`none`, the processes use the host's network. Otherwise they have no network.

A sandbox is a service of the inventory with the field `sandbox`. Every action that reads a service can therefore also read a
sandbox. A restore creates the sandbox, and the run removes it at the end of the run. The function ``removal`` returns the
command for this. The command kills the processes of the sandbox, and removes its folder. A host can run the command without
the controller. The processes are found by their environment, or by their working directory; see ``isolation``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import sandbox_budget, sandbox_place
from drillbook.sdk.action import Context
from drillbook.sdk.host import Host, Output, printable
from drillbook.sdk.isolation import NETWORK, OWNER, PROGRAMS, TAKEN, Isolation
from drillbook.sdk.sandbox_config import SandboxConfig
from drillbook.sdk.sandbox_host import SandboxHost
from drillbook.sdk.service import Service, is_sandbox

MARGIN = 64 << 20
"""Free space in bytes that must remain on the file system after a restore into the sandbox."""
# UID FOLDER SOCKET: let a user open the socket, if it exists.
_ADMIT = 'test ! -S "$3" || { setfacl -m "u:$1:x" -- "$2" && setfacl -m "u:$1:rw" -- "$3"; }'
# LOG PROGRAM...: start a program that keeps running, with its output in a file of the sandbox.
_DETACH = 'log=$1; shift; setsid -f "$@" >>"$log" 2>&1 </dev/null'


class Sandboxed(Service):
    """Base of service kinds that can be a sandbox."""

    CONTAINED: ClassVar[bool] = False
    """True for a kind whose sandbox may be a container."""

    sandbox: SandboxConfig | None = Field(
        default=None,
        description=(
            "Settings that make this service a sandbox. A sandbox exists only during a run, and a restore creates it."
        ),
    )

    @classmethod
    def fields_in_sandbox(cls, folder: str) -> Mapping[str, Any]:
        """Return the fields that a sandbox itself sets, such as the address. Their values replace the values in the
        inventory.
        """
        return {}

    @model_validator(mode="before")
    @classmethod
    def _in_sandbox(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("sandbox") is None:
            return data
        config = SandboxConfig.model_validate(data["sandbox"])
        return {**data, **cls.fields_in_sandbox(sandbox_folder(str(data.get("name", "")), config))}

    @property
    def sandbox_folder(self) -> str:
        """Path of the sandbox's folder on its host. It is empty for a service that is not a sandbox."""
        return sandbox_folder(self.name, self.sandbox) if self.sandbox else ""


def sandbox_folder(name: str, config: SandboxConfig) -> str:
    """Return the folder of the sandbox ``name`` on its host."""
    return config.folder or f"/var/tmp/drillbook-sandbox-{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"


def removal(service: Sandboxed, run_id: str) -> tuple[str, ...]:
    """Return the command that removes the sandbox if the run ``run_id`` created it. Running the command twice is safe."""
    return isolation_of(service).remove(run_id)


def isolation_of(service: Sandboxed) -> Isolation:
    """Return the isolation of the sandbox ``service``."""
    config = service.sandbox or SandboxConfig()
    return Isolation(service.sandbox_folder, config.isolation, service.run_as, int(config.memory), config.image)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox of one run. It has a folder, and programs can run in it."""

    ctx: Context
    service: Sandboxed
    host: Host

    @classmethod
    def of(cls, ctx: Context, service: Service) -> Sandbox:
        """Return the sandbox of ``service``. Raises NotReady when the service does not have the field `sandbox`."""
        if not isinstance(service, Sandboxed) or service.sandbox is None:
            raise NotReady(
                f"{service.name} is not a sandbox",
                hint="add `sandbox: {}` to the service in inventory/; see `Rehearse the backups that you have` in the documentation",
            )
        return cls(ctx, service, ctx.host_named(service.host))

    @property
    def config(self) -> SandboxConfig:
        """Settings of the sandbox in the inventory."""
        return self.service.sandbox or SandboxConfig()

    @property
    def folder(self) -> str:
        """Path of the sandbox's folder on the host."""
        return self.service.sandbox_folder

    @property
    def budget(self) -> dict[str, Any]:
        """Limits of memory and disk in bytes as facts, with the mechanism that enforces each limit."""
        sizes = {"memory_bytes": int(self.config.memory), "disk_bytes": int(self.config.disk)}
        return {**sizes, "kept_by": sandbox_budget.enforced(self.isolation)}

    @property
    def isolation(self) -> Isolation:
        """Isolation of this sandbox. It builds the commands that create, use and remove the sandbox."""
        return isolation_of(self.service)

    @property
    def programs(self) -> Host:
        """Host object that runs every command inside the sandbox as the sandbox's user."""
        below = self.folder if self.config.isolation == "container" else ""
        return SandboxHost(self.host, self.isolation.enter, below)

    @property
    def files(self) -> Host:
        """Host object that runs commands outside the sandbox, as the sandbox's user and with the host's network.

        It is used to copy files.
        """
        if not self.service.run_as and self.config.isolation != "container":
            return self.host
        below = self.folder if self.config.isolation == "container" else ""
        return SandboxHost(self.host, self.isolation.fetch, below)

    @property
    def trial(self) -> Host:
        """Host object that runs every command as if in the sandbox, before the sandbox exists.

        It is used to inspect programs.
        """
        return SandboxHost(self.host, lambda argv, env: self.isolation.trial(argv))

    def ready(self) -> None:
        """Check that the host can have this sandbox, and that no other run uses it. Raises NotReady or HostError."""
        self._must_be_permitted()
        if self.config.isolation == "container" and not self.service.CONTAINED:
            raise NotReady(
                f"the sandbox {self.service.name} cannot run in a container: services of this kind do not support that",
                hint="use `isolation: namespace`",
            )
        for argv in self.isolation.attempts():
            output = self.host.run(argv, deadline=self.ctx.deadline)
            if not output.ok:
                raise self._not_permitted(printable(output.stderr, limit=300).strip())
        self._need_programs()
        if output.text.startswith("taken"):
            self._refuse_taken(output.text.removeprefix("taken").strip())

    def _need_programs(self) -> None:
        """Check that the host has the programs that make the sandbox and prove its isolation. Raises NotReady when one is
        missing.
        """
        proof = ("bash", "timeout") if self.config.isolation == "none" and self._addresses() else ()
        if missing := self.ctx.programs.missing(self.host, (*PROGRAMS, *proof), deadline=self.ctx.deadline):
            raise NotReady(
                f"{self.host.name} has no {', '.join(missing)}, which the sandbox {self.service.name} needs",
                hint="install what is missing on that host",
            )

    def _addresses(self) -> list[tuple[str, int]]:
        return sorted({address for service in self.ctx.services.values() if (address := self._address(service))})

    def _must_be_permitted(self) -> None:
        """Check that the sandbox is not on the controller, or that the inventory permits copying data there. Raises NotReady
        otherwise.
        """
        if self.host.target.local and not self.config.data_may_leave:
            raise NotReady(
                f"the sandbox {self.service.name} is on the machine that runs Drillbook, which must not receive production data",
                hint="use another host, or permit this machine with `data_may_leave: true` in `sandbox`",
            )

    def _not_permitted(self, said: str) -> NotReady:
        if self.config.isolation == "container":
            hint = (
                f"let the SSH user use Docker on that host, and pull {self.config.image} there; or use `isolation: "
                "namespace`"
            )
        else:
            hint = (
                "install util-linux and permit user namespaces (sysctl kernel.unprivileged_userns_clone, "
                "kernel.apparmor_restrict_unprivileged_userns); or use `isolation: container`; or use a host without "
                "a route to production and `isolation: none`"
            )
        return NotReady(f"{self.host.name} does not permit a sandbox: {said}", hint=hint)

    def _refuse_taken(self, owner: str) -> None:
        if owner == self.ctx.run_id:
            return
        whose = f"the run {printable(owner, limit=100)} created it" if owner else "it is not known which run created it"
        raise NotReady(
            f"{self.host.name}: {self.folder} exists already: {whose}",
            hint="recover that run with `invoke drill.recover` in the project that started it, or set another `folder`",
        )

    def make(self) -> None:
        """Remove the remains of an earlier attempt of this run. Create the folder, and start the watcher and the container.
        Raises NotReady when the host does not permit the sandbox, and StepFailed when the folder cannot be created.
        """
        self._must_be_permitted()
        self._must_be_apart()
        self.remove()
        output = self.host.run(self.isolation.make(self.ctx.run_id), deadline=self.ctx.deadline)
        if output.exit == TAKEN:
            raise self._refused("a free folder", f"the run {output.text.strip() or 'unknown'} uses it")
        output.check()
        self.host.run(sandbox_budget.watching(self.isolation, int(self.config.disk)), deadline=self.ctx.deadline).check()
        if start := self.isolation.start(self.ctx.run_id):
            self.host.run(start, deadline=self.ctx.deadline).check()

    def _finding(self, code: str, wanted: str, measured: str) -> Finding:
        return finding(code, title=self.service.name, wanted=wanted, measured=measured, host=self.host.name)

    def _must_be_apart(self) -> None:
        """Raise StepFailed if the sandbox's folder is inside a folder that contains backups or the data of a server."""
        paths = sandbox_place.of_production(self.ctx.services, self.ctx.hosts, self.host.name)
        output = self.host.run(sandbox_place.looking(self.isolation, paths), deadline=self.ctx.deadline).check()
        if output.text:
            raise self._refused(
                "a folder outside of the folders of production data and of backups",
                f"the sandbox's folder is inside {output.text.splitlines()[0]}",
            )

    def _refused(self, wanted: str, measured: str) -> StepFailed:
        return StepFailed(
            f"{self.host.name}: the sandbox {self.folder} cannot be created: {measured}",
            findings=[self._finding("restore-target", wanted, measured)],
        )

    def exists(self) -> bool:
        """Return True while the folder of this run's sandbox exists. Raises HostError when the host cannot be used."""
        script = f'test "$(cat -- "$1/{OWNER}" 2>/dev/null)" = "$2"'
        return self._as_user("sh", "-c", script, "sh", self.folder, self.ctx.run_id).ok

    def remove(self) -> None:
        """Terminate the processes and remove the folder, if this run created the sandbox. Raises HostError when this fails."""
        self.host.run(removal(self.service, self.ctx.run_id), deadline=self.ctx.deadline).check()

    def run(self, *argv: str, **options: Any) -> Output:
        """Run a program in the sandbox without a network. ``options`` and errors are those of Host.run."""
        return self._on(self.programs, argv, options)

    def start(self, *argv: str, log: str = "server.log") -> None:
        """Start a server in the sandbox and leave it running. Its output goes to the file ``log`` in the folder."""
        self.run("sh", "-c", _DETACH, "sh", f"{self.folder}/{log}", *argv).check()

    def fetch(self, *argv: str, **options: Any) -> Output:
        """Run the tool that fetches a backup into the sandbox. The tool can use the host's network.

        In every other way, the tool runs like a program that ``run`` starts.
        """
        return self._on(SandboxHost(self.host, self.isolation.fetch), argv, options)

    def inside(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command that runs ``argv`` in the sandbox, as its user."""
        return self.isolation.enter(argv)

    def _on(self, host: Host, argv: tuple[str, ...], options: Mapping[str, Any]) -> Output:
        return host.run(argv, deadline=self.ctx.deadline, **options)

    def _as_user(self, *argv: str) -> Output:
        return self.host.run(self.isolation.as_user(argv), deadline=self.ctx.deadline)

    def uid(self) -> str:
        """Return the numeric id of the sandbox's user. Raises HostError when the host cannot be used."""
        return self._as_user("id", "-u").check().text

    def must_admit(self) -> None:
        """Check that ``admit`` can give the SSH user access to a socket of the sandbox.

        Raises NotReady when it cannot, and HostError when the host cannot be used.
        """
        if self._stranger() and not self._as_user("sh", "-c", "command -v setfacl").ok:
            raise NotReady(
                f"{self.host.name}: the SSH user cannot open the socket of a server that runs as {self.service.run_as}",
                hint=(
                    "install the package acl (setfacl) on that host; or remove `run_as` of the sandbox, so that the "
                    "server runs as the SSH user"
                ),
            )

    def admit(self, socket: str) -> None:
        """Let the SSH user open ``socket``, if it exists and belongs to another user. Raises HostError when this fails."""
        if number := self._stranger():
            self._as_user("sh", "-c", _ADMIT, "sh", number, self.folder, socket).check()

    def _stranger(self) -> str:
        """Return the numeric id of the SSH user, or an empty text if this user is root or the user of the sandbox."""
        if not self.service.run_as:
            return ""
        number = self.host.run(("id", "-u"), deadline=self.ctx.deadline).check().text
        return "" if number in ("0", self.uid()) else number

    def must_be_within_budget(self, error: BaseException | None = None) -> int:
        """Check that no limit of the sandbox was exceeded. Return the size of its folder on disk, in bytes.

        ``error``: failure that an exceeded limit may have caused. Raises StepFailed with the finding
        ``sandbox-too-small`` when a limit was exceeded, and HostError when the host fails.
        """
        if error and (said := sandbox_budget.lacks_memory(error)):
            memory = f"memory: {int(self.config.memory)} bytes"
            raise self._too_small(memory, said, f"a program in the sandbox ran out of memory: {said}")
        for argv in sandbox_budget.looking(self.isolation):
            text = self.host.run(argv, deadline=self.ctx.deadline).text
            if exceeded := sandbox_budget.read(text, int(self.config.memory)):
                raise self._too_small(*exceeded, f"the sandbox exceeded its budget ({exceeded[0]}) and was terminated")
        if (used := self.used()) > self.config.disk:
            raise self._too_small(
                f"disk: {int(self.config.disk)} bytes", f"{used} bytes", f"the copy needs {used} bytes of disk"
            )
        return used

    def need_space(self, size: int) -> None:
        """Check that a copy of ``size`` bytes fits within the disk limit and on the file system.

        Raises StepFailed when the copy does not fit, and HostError when the host cannot be used.
        """
        output = self._as_user("df", "-PB1", "--", self.folder).check()
        free = int(output.text.splitlines()[-1].split()[3])
        kept = f"of which {sandbox_budget.mebibytes(MARGIN)} must remain free"
        for limit, measured in (
            (int(self.config.disk), f"`disk` of the sandbox: {sandbox_budget.mebibytes(int(self.config.disk))}"),
            (free - MARGIN, f"free space of the sandbox's file system: {sandbox_budget.mebibytes(free)}, {kept}"),
        ):
            if size > limit:
                said = f"the copy needs {sandbox_budget.mebibytes(size)}, but the sandbox has less: {measured}"
                raise self._too_small(sandbox_budget.mebibytes(size), measured, said)

    def _too_small(self, wanted: str, measured: str, said: str) -> StepFailed:
        return StepFailed(
            f"{self.host.name}: {said}",
            findings=[self._finding("sandbox-too-small", wanted, measured)],
        )

    def used(self) -> int:
        """Return the size of the folder on disk, in bytes. Raises HostError when the host cannot be used."""
        return 1024 * int(self._as_user("du", "-sk", "--", self.folder).check().text.split()[0])

    def prove_isolated(self) -> list[str]:
        """Try to connect from the sandbox to every service of the inventory. Returns the addresses that were tried.

        Raises StepFailed with the finding ``sandbox-not-isolated`` when a connection succeeds or the namespace has a
        network. Raises CouldNotVerify when no connection can be tried.
        """
        addresses = self._addresses()
        words = [word for address, port in addresses for word in (address, str(port))]
        lines = self.run("sh", "-c", NETWORK, "sh", *words).check().text.splitlines()
        reached = [line for line in lines if line.startswith("reached ")]
        if self.config.isolation != "none":
            reached += [
                line for line in lines if (line.startswith("device ") and line != "device lo") or line.startswith("route ")
            ]
        if reached:
            raise StepFailed(
                f"{self.host.name}: programs in the sandbox {self.service.name} have network access: {'; '.join(reached[:3])}",
                findings=[
                    self._finding(
                        "sandbox-not-isolated",
                        "no address of the inventory can be reached from the sandbox",
                        "; ".join(reached[:10]),
                    )
                ],
            )
        tried = [line.removeprefix("refused ") for line in lines if line.startswith("refused ")]
        if self.config.isolation == "none" and len(tried) < len(addresses):
            raise CouldNotVerify(
                f"{self.host.name} has no bash; bash is needed to try connections from the sandbox to production",
                hint="install bash on that host, or use `isolation: namespace`",
            )
        return tried

    def _address(self, service: Service) -> tuple[str, int] | None:
        """Return the address at which the host of the sandbox reaches ``service``. A loopback address of another host is
        replaced by the address of that host. The result is None if ``service`` is itself a sandbox, or has no address.
        """
        if service.listens is None or is_sandbox(service):
            return None
        address, port = service.listens
        if address in ("127.0.0.1", "localhost", "::1") and service.host != self.service.host:
            target = self.ctx.hosts.get(service.host)
            address = (target.address or target.name) if target is not None and not target.local else address
        return address, port
