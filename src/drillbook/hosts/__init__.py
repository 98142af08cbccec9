"""Implementations of the interface `Host`: for hosts behind SSH, for this machine, and for a fake host in tests. All
implementations pass the same tests.

Lives here: opening a host of an inventory, running commands, reading and writing files, forwarding ports.
Lives elsewhere: the interface itself (`sdk.host`), journalled commands of a step (`engine.recorded_host`).
"""

from drillbook.hosts.fake import FakeHost
from drillbook.hosts.local import LocalHost
from drillbook.hosts.open import open_host

__all__ = ["FakeHost", "LocalHost", "open_host"]
