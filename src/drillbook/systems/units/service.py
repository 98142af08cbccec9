"""The service kind `process`."""

from __future__ import annotations

from typing import Literal

from drillbook.sdk.service import Service


class Process(Service):
    """A unit of the service manager whose protocol Drillbook does not know."""

    kind: Literal["process"] = "process"
