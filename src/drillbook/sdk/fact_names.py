"""Names of facts that reports and findings read. Modules of actions import them from ``sdk.action``. Lists of runs import them
from here, because they do not need the base classes of actions.
"""

from __future__ import annotations

REMOVED, RESTORED = "removed_data", "restored_data"
"""Names of two facts: how much data a fault removed, and how much data a restore brought back.

Each fact is a mapping. Its key is the kind of the data, such as ``rows of public.orders in database``, and its value is a
number. A restore that brought back less than a fault removed is a finding. But if several steps removed or restored data of
one kind, the numbers of this kind are not compared. All removed data that exists after the restore counts as restored, even
if something else wrote it. So the number of a restore may be too high, but never too low. A step that cannot count its data
does not set the fact.
"""
REPLACED = "replaced_data"
"""Name of the fact that tells how much existing data a restore replaced with the data of the backup.

Its keys are those of ``restored_data``. If a restore brought back less data of a kind than it replaced, this is a finding.
"""
BROKEN = "broken_references"
"""Name of a fact: a list of the foreign keys that rows violate after the restore of one table. If the list is not empty, the
drill fails.
"""
OTHER_SERVICE = "other_service"
"""Name of a fact: a service that the drill and its probes do not use, but that a step restored, recorded or compared."""
NARROWED = " where "
"""Text between a kind of data and a condition that selects a part of it, as in ``rows of orders where id < 9``."""
