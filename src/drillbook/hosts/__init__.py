"""Carriers of the Host port: SSH, this machine, and a fake held to the same contract.

Lives here: opening a host of an inventory, running commands, files, forwarded ports.
Lives elsewhere: the port itself (`sdk.host`), journalled commands of a step (`engine.recorded_host`).
"""

from drillbook.hosts.fake import FakeHost
from drillbook.hosts.local import LocalHost
from drillbook.hosts.open import open_host

__all__ = ["FakeHost", "LocalHost", "open_host"]
