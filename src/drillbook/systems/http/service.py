"""The service kind `http`. Its model is in the SDK, since several systems use it."""

from drillbook.sdk.service import Http as Http  # noqa: PLC0414  the module of the kind must define it
