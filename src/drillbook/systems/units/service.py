"""The service kind `process`."""

from __future__ import annotations

from typing import Literal

from drillbook.sdk.service import Service


class Process(Service):
    """A unit of the service manager that has no protocol of its own here."""

    kind: Literal["process"] = "process"
