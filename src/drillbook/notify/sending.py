"""Sends one message through a service URL of apprise. The library apprise implements the protocols of many services.

See https://github.com/caronc/apprise/wiki. Apprise logs addresses and tokens, so its log is discarded. When a message
cannot be sent, this module describes the reason in its own words. It takes the reason from the status in the service's
answer.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from contextvars import ContextVar

from drillbook.errors import SecretError
from drillbook.installation import extras
from drillbook.notify.wording import Message
from drillbook.values import Secret

LOGGER = logging.getLogger("apprise")


class NotDelivered(Exception):
    """Raised when a message could not be delivered. The text of the error is the reason, and does not contain the
    address.
    """


_HEARD: ContextVar[list[str] | None] = ContextVar("heard", default=None)
"""Log messages of the library Apprise while a message is being sent. Apprise passes this context variable on to its threads."""


class _Overhearing(logging.Handler):
    """Log handler that collects the log texts of apprise while apprise sends a message."""

    def emit(self, record: logging.LogRecord) -> None:
        """Collect the text of ``record`` if apprise logged it while it was sending a message."""
        heard = _HEARD.get()
        if heard is not None:
            heard.append(record.getMessage())


def prepare() -> None:
    """Load apprise before the first message is sent, because this is slow. Raises NotDelivered when it is not installed."""
    LOGGER.propagate = False
    if not any(isinstance(handler, _Overhearing) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Overhearing(logging.WARNING))
    if "apprise" in sys.modules:
        return
    try:
        with warnings.catch_warnings():  # the user cannot act on warnings of apprise's own imports
            warnings.simplefilter("ignore")
            import apprise  # noqa: PLC0415  an extra, and slow to load

            apprise.Apprise.instantiate("json://127.0.0.1:9/", asset=apprise.AppriseAsset(async_mode=False))
    except ImportError:
        raise NotDelivered(f"apprise is not installed. {extras.adding('notify')}") from None
    except Exception as error:  # noqa: BLE001  a notification never prevents a drill
        raise NotDelivered(f"apprise cannot be loaded: {type(error).__name__}") from None


def deliver(way: Secret, message: Message) -> None:
    """Send ``message`` through the service URL ``way``. Raises NotDelivered when this fails."""
    prepare()
    import apprise  # noqa: PLC0415  an extra, and slow to load

    try:
        url = way.reveal().strip()
    except SecretError as error:
        raise NotDelivered(error.message) from None
    heard: list[str] = []
    before = _HEARD.set(heard)
    try:
        asset = apprise.AppriseAsset(async_mode=False, storage_mode="memory", app_id="Drillbook", app_desc="Drillbook")
        service = apprise.Apprise.instantiate(url, asset=asset)
        if service is None:
            raise NotDelivered(
                "the value of the secret is not a service URL of apprise; see `Writing an inventory` in the documentation"
            )
        everybody = apprise.Apprise(asset=asset)
        everybody.add(service)
        if not everybody.notify(body=message.text, title=message.title, notify_type=message.weight, body_format="text"):
            raise NotDelivered(_reason("\n".join(heard)))
    except NotDelivered:
        raise
    except Exception as error:  # noqa: BLE001  a service of apprise may raise anything; its text may hold the address
        raise NotDelivered(f"the library apprise raised an error: {type(error).__name__}") from None
    finally:
        _HEARD.reset(before)


def _reason(text: str) -> str:
    """Return the reason for a failed delivery. It is derived from the log ``text`` of apprise, but does not contain the
    addresses in this text.
    """
    if status := re.search(r"\berror=(\d{3})\b", text):
        return f"the service answered with status {status[1]}"
    return "the service cannot be reached" if "onnection" in text else "the service did not accept the message"


def kind_of(way: Secret) -> str:
    """Return the scheme of the service URL ``way``, such as ``slack``. No other part of the URL may be shown, because
    it may be secret. The result is empty when the URL cannot be read from its source.
    """
    try:
        match = re.match(r"[a-z][a-z0-9+]{1,20}(?=://)", way.reveal().strip())
    except SecretError:
        return ""
    return match[0] if match else ""
