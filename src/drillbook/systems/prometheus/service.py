"""The service kinds `prometheus` and `alertmanager`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drillbook.sdk.service import Password, Service


class Prometheus(Service):
    """A Prometheus server, or what answers its HTTP API (Thanos, VictoriaMetrics, Mimir)."""

    kind: Literal["prometheus"] = "prometheus"
    url: str = Field(pattern=r"^https?://", description="Root URL, as the controller reaches it.")
    token: Password = Field(default=None, description="Bearer token, where it wants one.")


class Alertmanager(Service):
    """An Alertmanager, which groups alerts and passes them on to people."""

    kind: Literal["alertmanager"] = "alertmanager"
    url: str = Field(pattern=r"^https?://", description="Root URL, as the controller reaches it.")
    token: Password = Field(default=None, description="Bearer token, where it wants one.")
