"""Implementations of the interface `Host`: SSH, this machine, and a fake host for tests. All pass the same contract tests.

Lives here: opening a host of an inventory, running commands, reading and writing files, forwarding ports.
Lives elsewhere: the interface itself (`sdk.host`), journalled commands of a step (`engine.recorded_host`).
"""

from drillbook.hosts.fake import FakeHost
from drillbook.hosts.local import LocalHost
from drillbook.hosts.open import open_host

__all__ = ["FakeHost", "LocalHost", "open_host"]
