"""The service kind `http`, of which several systems speak: its model lives in the SDK."""

from drillbook.sdk.service import Http as Http  # noqa: PLC0414  declared here
