"""Carriers of the Host port: SSH, this machine, and a fake."""

from drillbook.hosts.fake import FakeHost
from drillbook.hosts.local import LocalHost
from drillbook.hosts.open import open_host

__all__ = ["FakeHost", "LocalHost", "open_host"]
