"""Context of an action: the host of its step, services, a deadline, temporary folders and evidence files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from drillbook.errors import HostError, NotReady, PlanError
from drillbook.events.content import Content
from drillbook.redact import RedactingWriter, Redactor
from drillbook.sdk import target_folders
from drillbook.sdk.earlier_results import EarlierStep
from drillbook.sdk.evidence_file import EvidenceFile
from drillbook.sdk.host import Deadline, Host, Output, Target
from drillbook.sdk.identity import same_thing
from drillbook.sdk.programs import Programs
from drillbook.sdk.service import S3, Service
from drillbook.sdk.target_folders import scratch_of

Facts = dict[str, Any]
"""Facts of an action, as JSON values. Large data goes to an evidence file, and the fact holds the SHA-256 of that file."""

ServiceT = TypeVar("ServiceT", bound=Service)


@dataclass(frozen=True, slots=True)
class Context:
    """Context of an action: one host, the inventory's services, a deadline, and storage for evidence."""

    run_id: str
    step: str
    host: Host
    services: Mapping[str, Service]
    host_named: Callable[[str], Host]
    deadline: Deadline
    folder: Path
    note: Callable[[Content], None] = field(default=lambda what: None)
    redactor: Redactor = field(default_factory=lambda: Redactor(()))
    book: object | None = None
    """Diagnosis trees and inventory, for actions that diagnose a service."""
    proofs: frozenset[str] = frozenset()
    """Names of the actions in the backup phase of this drill that verify a backup of the step's service."""
    spares: bool = False
    """True for a step that is not a fault and begins after the first fault of the drill.

    Such a step continues when an evidence file cannot be written. The file is left out, and its facts contain the reason.
    """
    hosts: Mapping[str, Target] = field(default_factory=dict)
    """The hosts of the inventory by name."""
    traceparent: str = ""
    """W3C header `traceparent`, which makes a request part of the run's trace. It is empty when the run is not traced."""
    vouchers: Any = None  # Vouchers, or None when the run neither makes nor checks signatures
    earlier: Callable[[str, str], EarlierStep | None] = field(default=lambda action, service: None)
    """Function that looks for a step in earlier runs. Its arguments are the name of an action and the name of a service. It
    returns the newest passed step with this action and this service.
    """
    drilled: Callable[[datetime], str] = field(default=lambda at: "")
    """Function that returns the name of an earlier drill which took backups of the drill's service and ran at a given time. The
    name is empty if no such drill ran.
    """
    origins: Mapping[str, str] = field(default_factory=dict)
    """Services of earlier steps whose results are values of this step's parameters. The key of each entry is the name of the
    parameter. The value is the service on which the earlier step works.

    Outside of a `ready` check, this field has its default value.
    """
    changed: bool = False
    """True when an earlier step of the drill, other than a fault, changes something. Such a step may for example create a
    file that the `ready` check does not find yet.

    Outside of a `ready` check, this field has its default value.
    """
    disturbed: bool = False
    """True when an earlier step of the drill is a fault with unknown effects: a person causes it, or it runs commands or
    requests of the drill. Such a fault may for example create a file that the `ready` check does not find yet.

    Outside of a `ready` check, this field has its default value.
    """
    doubt: Callable[[str], None] | None = None
    """Function with which a check before a drill records what is not verified, such as ``the version of the backup``.

    Only the `ready` check of `drill.check` has this function; in a run it is None. A `ready` check that has this function
    must not start a command of unknown cost or effect.
    """
    aside: Callable[[str], None] | None = None
    """Function that records a remark for the reader of `drill.check`. The value is None outside of `drill.check`."""
    no_backups: str = ""
    """Remedy for a missing routine backup, if nobody takes routine backups of the service in this environment. Only a `ready`
    check of such a drill has it."""
    verified: frozenset[str] = frozenset()
    """Names of the backup sources whose backups a step verifies before the drill's first fault. Outside of a `ready` check,
    this set is empty.
    """
    printed: dict[tuple[str, ...], Any] = field(default_factory=dict)
    """First bytes of backups, if a command prints the content of the backups. They are kept so that the command runs only
    once. Each key identifies the backup source, and the place where the command ran.

    The `ready` checks of all steps share this mapping.
    """
    unanswered: set[tuple[str, str, bool]] = field(default_factory=set)
    """Connections and logins that failed in the `ready` check of another step. Each entry holds the service, the database and a
    flag. The flag is True for a login as the application's role. No step tries one of these again, because servers lock an
    account after several wrong passwords.

    The `ready` checks of all steps share this set.
    """
    uploads: set[tuple[str, str, str]] = field(default_factory=set)
    """Folders in object stores to which a trial upload was permitted. Each entry has the service, its bucket and the folder.

    The `ready` checks of all steps share this set.
    """
    former: frozenset[str] = frozenset()
    """Names of hosts on which this run uses the temporary folder of older versions of Drillbook. Only the recovery of a run
    that an older version began has such hosts.
    """
    written: int = 0
    """Highest row number that a canary tried to write, as far as this is known. It is needed when the rows of the canary
    are read back or removed.
    """
    evidence_since: float | None = None
    """Time on the controller's monotonic clock. Log lines that are older than this time are no evidence.

    Only the checks of a diagnosis have this time. If the diagnosis is a step of a drill, it is the time of the disruption. For
    other steps it is None.
    """
    programs: Programs = field(default_factory=Programs)
    """Programs that were found or not found on the hosts so far. The contexts of all `ready` checks share one object, so that
    no host is asked twice for the same program. The context of a step's run has an object of its own, which is empty at first.
    """

    def service(self, name: str, kind: type[ServiceT]) -> ServiceT:
        """Return the service ``name``.

        Raises PlanError when the inventory has no such service. Also raises PlanError when the service is not of the kind
        ``kind``.
        """
        service = self.services.get(name)
        if not isinstance(service, kind):
            actual = f"has the kind {getattr(service, 'kind', '?')}" if service else "is not in the inventory"
            raise PlanError(f"{self.step} needs a service of kind {kind.__name__.lower()}, but {name!r} {actual}")
        return service

    def same_service(self, a: str, b: str) -> bool:
        """Return True when the names ``a`` and ``b`` mean the same service, or when both are empty.

        The name of a service is empty for a step without a service.
        """
        return a == b or same_thing(self.services, self.hosts, a, b)

    def bucket(self, uri: str) -> S3:
        """Return the S3 service of the bucket in ``uri``, an address of the form s3://bucket/... Raises PlanError when the
        inventory has no such service, or several.
        """
        match = re.match(r"s3://([^/#]+)", uri)
        stores = [s for s in self.services.values() if isinstance(s, S3) and match and s.bucket == match[1]]
        if len(stores) != 1:
            raise PlanError(
                f"{self.step}: {uri!r} needs exactly one service of kind s3 with that bucket in the inventory; there "
                f"are {len(stores)}"
            )
        return stores[0]

    def run(self, *argv: str, **options: Any) -> Output:
        """Run a command on the step's host within the step's deadline. ``options`` are those of Host.run."""
        return self.host.run(argv, deadline=self.deadline, **options)

    def missing(self, *programs: str) -> list[str]:
        """Return the names in ``programs`` that are not on the PATH of the step's host.

        Raises HostError when the host cannot be asked.
        """
        return self.programs.missing(self.host, programs, deadline=self.deadline)

    def unsure(self, text: str) -> None:
        """During a check before a drill, record that ``text`` was not verified. In a run, nothing is recorded."""
        if self.doubt:
            self.doubt(text)

    def lacking(self, refusal: NotReady) -> None:
        """Raise ``refusal``, an error about something that a step needs and that is missing now.

        Nothing is raised if an earlier step of the drill may still supply the missing thing. Instead, the check before the
        drill records that the need of this step was not verified.
        """
        if not (self.changed or self.disturbed):
            raise refusal
        self.unsure(f"{refusal.message}; an earlier step may change this")

    def remark(self, text: str) -> None:
        """Show ``text`` in the output of `drill.check`, without an effect on its result. In a run, nothing is shown."""
        if self.aside:
            self.aside(text)

    @property
    def scratch(self) -> str:
        """Folder for temporary files of this run on the step's host. The runner removes it at the end of the run."""
        return self.scratch_on(self.host)

    def scratch_on(self, host: Host) -> str:
        """Folder for temporary files of this run on ``host``."""
        return scratch_of(host, self.run_id, former=host.name in self.former)

    def make_scratch(self, name: str = "") -> str:
        """Create the folder ``scratch``, and in it the empty private folder ``name``. Returns the path of ``name``.

        Raises NotReady when other users could write there, and HostError when the host fails.
        """
        return target_folders.make(self.host, self.scratch, name, deadline=self.deadline)

    @contextmanager
    def temporary(self, name: str) -> Iterator[str]:
        """Yield a new empty folder on the step's host. The folder is removed after the `with` block, also after an error."""
        path = f"{self.scratch}/{name}-{self.step}"
        try:
            yield self.make_scratch(f"{name}-{self.step}")
        finally:
            with suppress(HostError):
                self.host.run(("rm", "-rf", "--", path), deadline=Deadline.after(60))

    def evidence(self, name: str, content: bytes | str, *, sync: bool = False) -> Facts:
        """Store ``content`` as an evidence file of the run, and return ``{"file", "sha256", "bytes"}`` for the facts.

        ``sync``: use it for data that a recovery needs. The file is then flushed to the disk, and a failure raises OSError.
        """
        with self.evidence_stream(name, sync=sync) as (writer, facts):
            writer.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        return facts

    @contextmanager
    def evidence_stream(self, name: str, *, sync: bool = False) -> Iterator[tuple[RedactingWriter, Facts]]:
        """Open an evidence file for writing. Yield the writer and the facts about the file.

        The facts get their values when the file is closed.
        """
        folder = self.folder / "evidence"
        name, taken = self.evidence_file(name), len(self.kept_evidence(name))
        file = EvidenceFile(folder / (f"{name}~{taken + 1}" if taken else name), optional=self.spares, vital=sync)
        facts: Facts = {"file": f"evidence/{file.path.name}"}
        writer = self.redactor.writer(file)
        try:
            yield writer, facts
        finally:
            writer.finish()
            file.close(sync=sync)
            facts |= file.facts

    def kept_evidence(self, name: str) -> list[Path]:
        """Return the evidence files ``name`` that all attempts of this step stored for the step's host."""
        file, folder = self.evidence_file(name), self.folder / "evidence"
        return [path for path in (folder.iterdir() if folder.is_dir() else ()) if path.name.partition("~")[0] == file]

    def evidence_file(self, name: str) -> str:
        """Return the name of the file in which the first attempt of the step stores the evidence ``name`` about the step's
        host.
        """
        return re.sub(r"[^A-Za-z0-9._-]", "_", f"{self.step}.{self.host.name}.{name}")

    @contextmanager
    def reach(self, service: Any) -> Iterator[tuple[str, int]]:
        """Yield an address and a port at which the controller reaches ``service``, through an SSH tunnel if necessary."""
        if service.socket or getattr(service, "reach", "direct") == "ssh":
            with self.host_named(service.host).forward(service.socket or service.address, service.port) as port:
                yield "127.0.0.1", port
        else:
            yield service.address, service.port
