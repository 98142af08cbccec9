"""State that the steps of a run share, and the context that every step receives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from drillbook.diagnosis.run import Book
from drillbook.engine.fenced_host import Fence, fenced
from drillbook.engine.locks_and_leases import Hold
from drillbook.engine.parallel import AT_ONCE
from drillbook.engine.provenance import Provenance
from drillbook.engine.recorded_host import RecordingHost
from drillbook.errors import WrongPassword
from drillbook.events.content import Content
from drillbook.events.holds import PrivilegeUsed
from drillbook.hosts.privileged import privileged
from drillbook.hosts.sudoers import pattern
from drillbook.journal.journal import Journal
from drillbook.journal.suspension import suspended
from drillbook.plan import privilege
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.plan.planner import Plan
from drillbook.plan.step_roles import verified_service
from drillbook.redact import Redactor
from drillbook.sdk.action import Context
from drillbook.sdk.become import Become
from drillbook.sdk.earlier_results import EarlierStep
from drillbook.sdk.host import Deadline, Host
from drillbook.sdk.manifest_signatures import Vouchers
from drillbook.telemetry.ids import traceparent


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="step")


@dataclass(frozen=True, slots=True)
class _Index:
    """Index of the steps of ``plan``.

    Every command looks up its step, and a search through a long plan would take too long.
    """

    plan: Plan
    planned: dict[str, PlannedStep | PlannedProbe]
    """Steps and probes of the plan. The key of each entry is the id of the step or probe."""
    verifying: tuple[PlannedStep, ...]
    """Steps of the phase `backup` that verify a backup and are certain to run."""

    @classmethod
    def of(cls, plan: Plan) -> _Index:
        """Make the index of ``plan``."""
        sure = (step for step in plan.phase("backup") if step.when is None and step.allow_failure is None)
        return cls(plan, privilege.by_id(plan), tuple(step for step in sure if step.proves_backup))


@dataclass(slots=True)
class Stage:
    """Shared state of all steps of a run: plan, journal, hosts, the facts saved so far, and the stop flag."""

    plan: Plan
    journal: Journal
    host: Callable[[str], Host]
    folder: Path
    run: dict[str, str]
    redactor: Redactor
    cancel: threading.Event = field(default_factory=threading.Event)
    saved: dict[str, Any] = field(default_factory=dict)
    traced: str = ""
    """Id of the run or suite whose trace context is sent with requests. When it is empty, no trace context is sent."""
    hold: Hold | None = None
    """Locks and leases of the run, or ``None`` when the run changes nothing."""
    provenance: Provenance = field(default_factory=Provenance)
    """Record of the backups that were verified and accepted before the injection. It also holds the identities of the data
    that the run restored.
    """
    vouchers: Vouchers | None = None
    """Object that signs manifests of backups and checks such signatures. ``None`` when the run does not use signatures."""
    earlier: Callable[[str, str], EarlierStep | None] = field(default=lambda action, service: None)
    """Function that finds the newest passed step with a given action and service.

    It searches earlier runs in the same environment.
    """
    drilled: Callable[[datetime], str] = field(default=lambda at: "")
    """Function that returns the name of an earlier drill which took backups of the same service and ran at a given time."""
    runs: Callable[[], Iterable[Path]] = field(default=lambda: ())
    """Function that returns the folders of the project's runs."""
    recorded: Callable[[], Sequence[tuple[str, str, tuple[str, ...]]]] = field(default=lambda: ())
    """Function that returns commands: those that were started through sudo in the newest passed run of the same plan.

    Each entry holds the host, the account and the command.
    """
    former: frozenset[str] = frozenset()
    """Hosts on which the run's temporary files are in the folder that older versions of Drillbook used."""
    added: dict[str, PlannedStep] = field(default_factory=dict)
    """Steps that a recovery added to the steps of the plan. The key of each entry is the id of the step."""
    accounts: dict[tuple[str, str], str] = field(default_factory=dict)
    """Account under which the run executed a step on a host. The key of each entry is the step and the host.

    The accounts come from the journal, where each was recorded before its step began. An empty text is the SSH user. Only a
    recovery fills this mapping.
    """
    wrong_passwords: dict[tuple[str, str], WrongPassword] = field(default_factory=dict)
    """Errors of sudo about wrong passwords, found before the run began. The key of each is the host and the account of `become`.
    No command is started as such an account, because servers lock an account after several wrong passwords.
    """
    unlimited: dict[tuple[str, str], bool] = field(default_factory=dict)
    """For each pair of host and account: True when sudo starts every command as this account on the host."""
    used: set[tuple[str, str, str]] = field(default_factory=set)
    """Commands that this process started by sudo. Each entry holds the host, the account and the pattern of the command."""
    pool: ThreadPoolExecutor = field(default_factory=_threads, init=False, repr=False)
    """Threads for steps that do not run in parallel with other steps. They are kept from step to step, because starting
    them takes as long as a command.
    """
    disrupted_at: float | None = None
    """Time on the controller's monotonic clock at which this process announced the first fault in the journal, right before
    its injection. None before any fault.
    """
    asleep_s: float = 0.0
    """Seconds for which the controller was suspended between its boot and the time ``disrupted_at``."""
    _index: _Index | None = field(default=None, init=False)

    def _indexed(self) -> _Index:
        """Return the index of the plan's steps. When the plan was replaced, make the index again."""
        if self._index is None or self._index.plan is not self.plan:
            self._index = _Index.of(self.plan)
        return self._index

    def add(self, steps: Sequence[PlannedStep]) -> None:
        """Add those of ``steps`` that are not in the plan to ``added``."""
        planned = self._indexed().planned
        self.added |= {step.id: step for step in steps if step.id not in planned}

    def names(self) -> dict[str, Any]:
        """Return the names that expressions may use at this point of the run."""
        return {**self.plan.names(self.run), **self.saved}

    def become(self, step: str, host: str) -> Become | None:
        """Return the privilege of ``step`` on ``host``. Returns None for the SSH user."""
        planned = self.added.get(step) or self._indexed().planned.get(step)
        return privilege.of_step(self.plan.inventory, planned, host, self.accounts.get((step, host)))

    def context(
        self,
        step: str,
        host: str,
        deadline: Deadline,
        *,
        changes: bool = False,
        fault: bool = False,
        breaks: bool = False,
    ) -> Context:
        """Make the context for an action of ``step`` on ``host``.

        When ``changes`` is true, no command of the action starts after the run has lost its lock. When ``fault`` is true, no
        command starts after the target has begun to undo the fault. ``breaks``: true when the action injects a fault. Such an
        action fails when its evidence cannot be stored; any other action then continues if a fault was announced before.
        """

        def named(name: str) -> Host:
            return self._seen(step, name, self.hold.fence(name, fault=fault) if changes and self.hold else None, fault=fault)

        return Context(
            run_id=self.run["id"],
            step=step,
            host=named(host),
            services=self.plan.inventory.services,
            host_named=named,
            deadline=deadline,
            folder=self.folder,
            note=partial(self._note, step, host),
            redactor=self.redactor,
            book=self._book(step),
            proofs=self._proofs(step),
            spares=self.journal.patient and not breaks,
            traceparent=self._traceparent(step, host),
            hosts=self.plan.inventory.hosts,
            vouchers=self.vouchers,
            earlier=self.earlier,
            drilled=self.drilled,
            former=self.former,
        )

    def _book(self, step: str) -> Book:
        """Return the data that ``step`` needs to diagnose a fault, such as the decision trees and the inventory of the
        plan.
        """
        at = self.disrupted_at
        if (
            at is not None
        ):  # the monotonic clock stood still while the controller was suspended, and the hosts' clocks did not
            at -= max(0.0, (suspended() or 0.0) - self.asleep_s)
        return Book(self.plan.diagnosis, self.plan.inventory, as_service=partial(self._as_service, step), disrupted_at=at)

    def _seen(self, step: str, name: str, fence: Fence | None, *, fault: bool) -> Host:
        """Return the host ``name`` for commands of ``step``.

        The commands run as the step's account, and each command is journalled. The lock is checked without sudo, before sudo
        starts the command.
        """
        become = self.become(step, name)
        host = privileged(fenced(self.host(name), fence), become, self.note_used)
        if fence and fault and self.hold:
            host = fenced(host, self.hold.fence_of_lease(name, become))
        return RecordingHost(host, self.journal, step, self.redactor)

    def _as_service(self, step: str, service: str, name: str) -> Host:
        """Return the host ``name`` for commands of ``step`` that read ``service``.

        The commands run as the account of the service, and are journalled.
        """
        become = privilege.of_service(self.plan.inventory, service, name)
        return RecordingHost(self.as_account(name, become), self.journal, step, self.redactor)

    def as_account(self, name: str, become: Become | None) -> Host:
        """Return the host ``name`` for commands that belong to no step. The commands run as the account of ``become``."""
        return privileged(self.host(name), become, self.note_used)

    def note_used(self, host: str, account: str, argv: tuple[str, ...]) -> None:
        """Journal a command that sudo starts as ``account``. Only the first such start in this process is journalled.

        Raises WrongPassword when sudo has already refused the password of the account.
        """
        if wrong := self.wrong_passwords.get((host, account)):
            raise WrongPassword(wrong.message, host=host, hint=wrong.hint)
        words = tuple(self.redactor.text(word) for word in argv)
        key = (host, account, pattern(" ".join(words)))
        if key not in self.used:
            self.used.add(key)
            self.journal.append(PrivilegeUsed(become=account, argv=words), host=host)

    def _note(self, step: str, host: str, what: Content) -> None:
        self.journal.append(what, step=step, host=host)

    def _proofs(self, step: str) -> frozenset[str]:
        """Return the names of the actions that verified the backups for the fault ``step``.

        Before the verification, return the names of the actions that will verify these backups.
        """
        if proofs := self.provenance.proofs(step):
            return proofs
        index = self._indexed()
        fault = index.planned.get(step)
        if not isinstance(fault, PlannedStep):
            return frozenset()
        return frozenset(verifying.action for verifying in index.verifying if self._same_service(verifying, fault))

    def _same_service(self, step: PlannedStep, other: PlannedStep) -> bool:
        """Return True when ``step`` verifies a backup of the service whose data is destroyed by the fault step ``other``."""
        verified = verified_service(self.plan.inventory, step)
        return self.plan.inventory.same_thing(verified, str(other.params.get("service") or ""))

    def _traceparent(self, step: str, host: str) -> str:
        if not self.traced:
            return ""
        probe = any(planned.id == step for planned in self.plan.probes)
        return traceparent(self.run["id"], step, "" if probe else host, trace=self.traced)

    def deadline(self, seconds: float) -> Deadline:
        """Make a deadline that expires after ``seconds``, or earlier when the run's stop flag is set."""
        return Deadline.after(seconds, self.cancel)
