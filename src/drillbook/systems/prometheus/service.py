"""The service kinds `prometheus` and `alertmanager`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drillbook.sdk.service import Password, Service


class Prometheus(Service):
    """A Prometheus server, or another server with the same HTTP API (Thanos, VictoriaMetrics, Mimir)."""

    KEEPS_DATA = False
    kind: Literal["prometheus"] = "prometheus"
    url: str = Field(pattern=r"^https?://", description="Root URL, as seen from the controller.")
    token: Password = Field(default=None, description="Bearer token, if the server requires one.")


class Alertmanager(Service):
    """An Alertmanager, which groups alerts and sends notifications to people."""

    KEEPS_DATA = False
    kind: Literal["alertmanager"] = "alertmanager"
    url: str = Field(pattern=r"^https?://", description="Root URL, as seen from the controller.")
    token: Password = Field(default=None, description="Bearer token, if the server requires one.")
