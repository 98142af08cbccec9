"""The service kind `process`."""

from __future__ import annotations

from typing import Literal

from drillbook.sdk.service import Service


class Process(Service):
    """A unit of the service manager. Drillbook does not need to know the protocol of the service."""

    KEEPS_DATA = False
    kind: Literal["process"] = "process"
