"""Locks and leases on a target: who may drill there, and what the target puts back by itself when nobody renews.

Lives here: the shell that locks, leases and their watchers are made of, and its one way to a host.
Lives elsewhere: when they are taken and renewed (`engine.hold`).
"""

from drillbook.engine.leases.beat import Beat, Listed, beat, listed
from drillbook.engine.leases.lease import Lease, LeaseState
from drillbook.engine.leases.lock import FENCED, Held, Lock, LockState, Owner, fence, was_fenced
from drillbook.engine.leases.script import lease_folders

__all__ = [
    "FENCED",
    "Beat",
    "Held",
    "Lease",
    "LeaseState",
    "Listed",
    "Lock",
    "LockState",
    "Owner",
    "beat",
    "fence",
    "lease_folders",
    "listed",
    "was_fenced",
]
