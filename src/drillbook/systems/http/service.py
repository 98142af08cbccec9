"""The service kind `http`. Its model is defined in the SDK, because several systems use it."""

from drillbook.sdk.service import Http as Http  # noqa: PLC0414  the module of the kind must define it
