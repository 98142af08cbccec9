"""Locks and leases on targets, the guard's conditions, and who was told of a run."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.events.content import Content, Json

LockName = Annotated[str, Field(description="Name of the lock on the target.")]
Token = Annotated[int, Field(description="Number of this holding; a later one is higher.")]


class OnHost(Content):
    """Base of the events of a host."""

    PLACE: ClassVar[str] = "host"


class LockTaken(OnHost):
    """A lock was taken."""

    KIND: ClassVar[str] = "lock.taken"

    name: LockName
    token: Token
    taken_from: Annotated[Json | None, Field(description="The owner before, who had not released it; or null.")] = None
    services: Annotated[
        tuple[str, ...],
        Field(
            description=("Services of the inventory that it locks; absent in older journals, where `name` is the service's.")
        ),
    ] = ()


class LockReleased(OnHost):
    """A lock was released."""

    KIND: ClassVar[str] = "lock.released"

    name: LockName
    token: Token


class LockFailed(OnHost):
    """A recovery could not take a lock."""

    KIND: ClassVar[str] = "lock.failed"

    name: LockName
    message: Annotated[str, Field(description="Why not.")]


class LockLost(OnHost):
    """Locks belong to another run now: this one ends."""

    KIND: ClassVar[str] = "lock.lost"

    message: Annotated[str, Field(description="What was lost.")]
    names: Annotated[tuple[str, ...], Field(description="Names of the locks.")] = ()


class LeaseReady(OnHost):
    """A host was found able to keep a lease."""

    KIND: ClassVar[str] = "lease.ready"

    kind: Annotated[str, Field(description="What keeps it there: `systemd` or `watcher`.")]
    boot: Annotated[str, Field(description="What takes it up after a restart: `systemd`, `cron` or `none`.")]


class LeaseArmed(OnHost):
    """From now on the target puts a change back by itself when it hears nothing for too long."""

    KIND: ClassVar[str] = "lease.armed"

    intent: Annotated[int, Field(description="`seq` of the intent.")]
    what: Annotated[str, Field(description="Name of the action that makes the change.")] = ""
    lease_s: Annotated[float | None, Field(description="Seconds without word after which it does.")] = None


class LeaseAdopted(OnHost):
    """A recovery found a lease of the run that died."""

    KIND: ClassVar[str] = "lease.adopted"

    armed: Annotated[tuple[int, ...], Field(description="`seq` of the intents that are armed.")]
    reverted: Annotated[bool, Field(description="True when the target has put them back.")]


class LeaseFailed(OnHost):
    """A recovery could not look at a lease of the run that died."""

    KIND: ClassVar[str] = "lease.failed"

    message: Annotated[str, Field(description="Why not.")]


class LeaseUnrenewed(OnHost):
    """The target is about to put everything back, since nothing could be renewed: the run ends."""

    KIND: ClassVar[str] = "lease.unrenewed"

    message: Annotated[str, Field(description="Why not.")]
    age_s: Annotated[float | None, Field(description="Seconds since the last renewal, on the monotonic clock.")] = None


class LeaseLapsed(OnHost):
    """The target put back by itself what was armed there: the run ends."""

    KIND: ClassVar[str] = "lease.lapsed"

    message: Annotated[str, Field(description="What happened.")] = ""


class LeaseLog(OnHost):
    """The target's own log of a lease came back as evidence."""

    KIND: ClassVar[str] = "lease.log"

    file: Annotated[str, Field(description="The file in the folder of the run; absent when it could not be kept.")] = ""
    sha256: Annotated[str, Field(description="Its digest.")] = ""
    bytes: Annotated[int | None, Field(description="Its size.")] = None
    error: Annotated[str, Field(description="Why it could not be kept; absent when it was.")] = ""


class OfCondition(OnHost):
    """Base of the events of a condition that must stay good."""

    condition: Annotated[str, Field(description="Id of the condition.")]
    title: Annotated[str, Field(description="The condition in words.")] = ""
    measured: Annotated[str, Field(description="What was seen.")] = ""


class GuardCondition(OfCondition):
    """The state of a condition changed."""

    KIND: ClassVar[str] = "guard.condition"

    state: Annotated[str, Field(description="`good`, `bad` or `unreadable`.")]


class GuardTripped(OfCondition):
    """A condition was not good for too long: the run ends."""

    KIND: ClassVar[str] = "guard.tripped"

    wanted: Annotated[str, Field(description="What was wanted.")] = ""
    not_good_for_s: Annotated[float | None, Field(description="For how long, in seconds on the monotonic clock.")] = None


class OfContact(Content):
    """Base of the events of messages to contacts. Those of the end of a run stand behind `run.finished`."""

    contact: Annotated[str, Field(description="Name of the contact.")]
    occasion: Annotated[str, Field(description="`start`, `end`, `abort` or `residue`.")]
    way: Annotated[int, Field(description="Number of the contact's service URL, from 1.")]
    service: Annotated[str, Field(description="Scheme of that URL; the address is never written down.")] = ""


class ContactTold(OfContact):
    """A contact was told."""

    KIND: ClassVar[str] = "contact.told"


class ContactMissed(OfContact):
    """A contact could not be told."""

    KIND: ClassVar[str] = "contact.missed"

    message: Annotated[str, Field(description="Why not.")]


class TraceSent(Content):
    """The trace of the run arrived at the collector; stands behind `run.finished`."""

    KIND: ClassVar[str] = "trace.sent"

    to: Annotated[str, Field(description="The collector, without credentials.")]
    spans: Annotated[int, Field(description="How many spans.")]


class TraceMissed(Content):
    """The trace of the run did not arrive; stands behind `run.finished`."""

    KIND: ClassVar[str] = "trace.missed"

    to: Annotated[str, Field(description="The collector, without credentials.")]
    message: Annotated[str, Field(description="Why not.")]
