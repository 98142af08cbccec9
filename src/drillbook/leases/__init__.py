"""Locks and leases on a target: who may drill there, and what the target puts back by itself when nobody renews."""

from drillbook.leases.beat import Beat, Listed, beat, listed
from drillbook.leases.lease import Lease, LeaseState
from drillbook.leases.lock import FENCED, Held, Lock, LockState, Owner, fence, was_fenced
from drillbook.leases.script import lease_folders

__all__ = ["FENCED", "Beat", "Held", "Lease", "LeaseState", "Listed", "Lock", "LockState", "Owner", "beat", "fence",
           "lease_folders", "listed", "was_fenced"]
