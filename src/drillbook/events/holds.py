"""Events about locks and leases on targets, abort conditions, messages to contacts, and traces.

A lease is a time limit on a target. If the run does not renew it in time, the target undoes the run's changes by
itself."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.events.content import Content, Json

LockName = Annotated[str, Field(description="Name of the lock on the target.")]
Token = Annotated[
    int,
    Field(
        description=(
            "Fencing token: the number of this acquisition of the lock. Every later acquisition has a higher number."
        )
    ),
]


class OnHost(Content):
    """Base of the events that belong to a host."""

    PLACE: ClassVar[str] = "host"


class LockTaken(OnHost):
    """The run took a lock on a host."""

    KIND: ClassVar[str] = "lock.taken"

    name: LockName
    token: Token
    taken_from: Annotated[
        Json | None, Field(description=("Previous owner of the lock, if it had not released the lock; otherwise null."))
    ] = None
    services: Annotated[
        tuple[str, ...],
        Field(
            description=(
                "Services of the inventory that the lock protects. Older journals do not have this field, and "
                "their field `name` is the name of the service."
            )
        ),
    ] = ()


class LockReleased(OnHost):
    """The run released a lock on a host."""

    KIND: ClassVar[str] = "lock.released"

    name: LockName
    token: Token


class LockFailed(OnHost):
    """A recovery could not take a lock because of an error on the host. It continues without that lock."""

    KIND: ClassVar[str] = "lock.failed"

    name: LockName
    message: Annotated[str, Field(description="Reason why the lock could not be taken.")]


class LockLost(OnHost):
    """Another run took over locks that this run held, so this run ends."""

    KIND: ClassVar[str] = "lock.lost"

    message: Annotated[
        str, Field(description="Text that names the lost locks and their host, and says that another run holds them now.")
    ]
    names: Annotated[tuple[str, ...], Field(description="Names of the locks.")] = ()


class PrivilegeUsed(OnHost):
    """A command was started as another account by sudo (`become`). A run records each different command once."""

    KIND: ClassVar[str] = "privilege.used"

    become: Annotated[str, Field(description="Account that ran the command.")]
    argv: Annotated[tuple[str, ...], Field(description="The whole command as sudo started it, except for secrets.")]


class LeaseReady(OnHost):
    """A check of the target showed that it can hold a lease: it can undo the run's changes by itself when the run no
    longer renews the lease."""

    KIND: ClassVar[str] = "lease.ready"

    kind: Annotated[str, Field(description="Program that watches the lease on the target: `systemd` or `watcher`.")]
    boot: Annotated[
        str,
        Field(
            description=(
                "Mechanism that starts the watcher again after a reboot of the target: `systemd`, `cron` or `none`."
            )
        ),
    ]


class LeaseArmed(OnHost):
    """The undo of a change was armed.

    From now on, the target runs the undo by itself when the lease is not renewed in time.
    """

    KIND: ClassVar[str] = "lease.armed"

    intent: Annotated[int, Field(description="`seq` of the event `intent` that announced the change.")]
    what: Annotated[str, Field(description="Name of the action that makes the change.")] = ""
    lease_s: Annotated[
        float | None,
        Field(description=("Number of seconds without a renewal after which the target undoes the changes by itself.")),
    ] = None


class LeaseAdopted(OnHost):
    """A recovery found a lease of a dead run on a target. A lease makes the target undo changes by itself."""

    KIND: ClassVar[str] = "lease.adopted"

    armed: Annotated[tuple[int, ...], Field(description="`seq` of each event `intent` whose undo is armed on the target.")]
    reverted: Annotated[bool, Field(description="True when the target has already undone the changes.")]


class LeaseFailed(OnHost):
    """A recovery could not inspect the lease that a dead run left on a target. A lease makes the target undo changes by
    itself.
    """

    KIND: ClassVar[str] = "lease.failed"

    message: Annotated[str, Field(description="Reason why the lease could not be inspected.")]


class LeaseUnrenewed(OnHost):
    """The lease could not be renewed, so the run ends. The target is about to undo the armed changes by itself."""

    KIND: ClassVar[str] = "lease.unrenewed"

    message: Annotated[str, Field(description="Reason why the lease could not be renewed.")]
    age_s: Annotated[float | None, Field(description="Seconds since the last renewal, on the monotonic clock.")] = None


class LeaseLapsed(OnHost):
    """The lease expired, and the target ran the undo of the armed changes. So the run ends."""

    KIND: ClassVar[str] = "lease.lapsed"

    message: Annotated[str, Field(description="Report of the target about the expired lease.")] = ""


class LeaseLog(OnHost):
    """The log of a lease was copied from the target as evidence, or it could not be copied. The program that watches
    the lease on the target, and undoes changes when the lease expires, writes this log."""

    KIND: ClassVar[str] = "lease.log"

    file: Annotated[
        str, Field(description="Path of the log's copy in the run's folder. Absent when no copy could be stored.")
    ] = ""
    sha256: Annotated[str, Field(description="SHA-256 digest of the copy.")] = ""
    bytes: Annotated[int | None, Field(description="Size of the copy in bytes.")] = None
    error: Annotated[str, Field(description="Reason why no copy could be stored. Absent when the log was stored.")] = ""


class OfCondition(OnHost):
    """Base of the events of an abort condition. Drillbook aborts the run when the result of such a condition turns bad."""

    condition: Annotated[str, Field(description="Id of the abort condition.")]
    title: Annotated[str, Field(description="Description of the abort condition.")] = ""
    measured: Annotated[str, Field(description="Last measurement of the abort condition.")] = ""


class GuardCondition(OfCondition):
    """The state of an abort condition changed."""

    KIND: ClassVar[str] = "guard.condition"

    state: Annotated[str, Field(description="`good`, `bad` or `unreadable`.")]


class GuardTripped(OfCondition):
    """An abort condition failed for too long, so the run ends."""

    KIND: ClassVar[str] = "guard.tripped"

    wanted: Annotated[str, Field(description="State that the condition requires.")] = ""
    not_good_for_s: Annotated[
        float | None, Field(description=("Seconds since the condition was last good, on the monotonic clock."))
    ] = None


class OfContact(Content):
    """Base of the events about messages to contacts.

    The message about the end of a run is sent after `run.finished`, so the events about this message come after it.
    """

    contact: Annotated[str, Field(description="Name of the contact.")]
    occasion: Annotated[str, Field(description="Occasion of the message: `start`, `end`, `abort` or `residue`.")]
    way: Annotated[
        int, Field(description=("Position of the service URL in the list of URLs of the contact, counted from 1."))
    ]
    service: Annotated[str, Field(description="Scheme of the service URL. The rest of the URL is never recorded.")] = ""


class ContactTold(OfContact):
    """A message to a contact was delivered."""

    KIND: ClassVar[str] = "contact.told"


class ContactMissed(OfContact):
    """A message to a contact could not be delivered."""

    KIND: ClassVar[str] = "contact.missed"

    message: Annotated[str, Field(description="Reason why the message was not delivered.")]


class TraceSent(Content):
    """The collector received the trace of the run. This event follows `run.finished`."""

    KIND: ClassVar[str] = "trace.sent"

    to: Annotated[str, Field(description="Address of the collector without credentials.")]
    spans: Annotated[int, Field(description="Number of spans.")]


class TraceMissed(Content):
    """The trace of the run did not arrive at the collector. This event follows `run.finished`."""

    KIND: ClassVar[str] = "trace.missed"

    to: Annotated[str, Field(description="Address of the collector without credentials.")]
    message: Annotated[str, Field(description="Reason why the spans of the trace were not delivered.")]
