"""The service kind `http`, which several systems use: its model lives in the SDK."""

from drillbook.sdk.service import Http as Http  # noqa: PLC0414  the module of the kind must define it
