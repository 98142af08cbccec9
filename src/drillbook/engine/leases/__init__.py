"""Locks and leases on a target.

A lock gives one run exclusive use of a service. A lease makes the target undo changes when renewals stop.

Lives here: the shell scripts of locks, leases and their watchers, and the code that runs these scripts on a host.
Lives elsewhere: the code that decides when a lock or lease is taken and renewed (`engine.locks_and_leases`).
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
