"""One message by one service URL of apprise, which knows the protocols: https://github.com/caronc/apprise/wiki.

Apprise writes what it does to its logger, addresses and tokens among it; nothing of that goes anywhere. What is told of
a failure is made here, from the status that the service answered.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from contextvars import ContextVar

from drillbook.errors import SecretError
from drillbook.notify.wording import Message
from drillbook.values import Secret

LOGGER = logging.getLogger("apprise")
MISSING = "apprise is not installed; install drillbook[notify]"


class NotDelivered(Exception):
    """A message could not be delivered; ``str()`` says why, and never where to."""


_HEARD: ContextVar[list[str] | None] = ContextVar("heard", default=None)
"""What is logged of the message under way; apprise hands the context on to threads of its own."""


class _Overhearing(logging.Handler):
    """Keeps what apprise logs of a message beside that message."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text, unless no message is under way."""
        heard = _HEARD.get()
        if heard is not None:
            heard.append(record.getMessage())


def prepare() -> None:
    """Load apprise, which takes a while, before anything waits for it. Raises NotDelivered when it is not installed."""
    LOGGER.propagate = False
    if not any(isinstance(one, _Overhearing) for one in LOGGER.handlers):
        LOGGER.addHandler(_Overhearing(logging.WARNING))
    if "apprise" in sys.modules:
        return
    try:
        with warnings.catch_warnings():  # what its own modules import is nothing that a reader could put right
            warnings.simplefilter("ignore")
            import apprise  # noqa: PLC0415  an extra, and slow to load

            apprise.Apprise.instantiate("json://127.0.0.1:9/", asset=apprise.AppriseAsset(async_mode=False))
    except ImportError:
        raise NotDelivered(MISSING) from None
    except Exception as error:  # noqa: BLE001  a notification never keeps a drill from being run
        raise NotDelivered(f"apprise cannot be loaded: {type(error).__name__}") from None


def deliver(way: Secret, message: Message) -> None:
    """Send ``message`` by the service URL ``way``. Raises NotDelivered."""
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
            raise NotDelivered("its secret is no service URL of apprise; see docs/inventories.md")
        everybody = apprise.Apprise(asset=asset)
        everybody.add(service)
        if not everybody.notify(body=message.text, title=message.title, notify_type=message.weight, body_format="text"):
            raise NotDelivered(_reason("\n".join(heard)))
    except NotDelivered:
        raise
    except Exception as error:  # noqa: BLE001  a service of apprise may raise anything; its text may hold the address
        raise NotDelivered(f"the service broke: {type(error).__name__}") from None
    finally:
        _HEARD.reset(before)


def _reason(text: str) -> str:
    """Why a service says no, in words of our own."""
    if status := re.search(r"\berror=(\d{3})\b", text):
        return f"it answered with status {status[1]}"
    return "it cannot be reached" if "onnection" in text else "it did not take the message"


def kind_of(way: Secret) -> str:
    """The scheme of a service URL, such as ``slack``: all that may be told of it; empty when it cannot be read."""
    try:
        found = re.match(r"[a-z][a-z0-9+]{1,20}(?=://)", way.reveal().strip())
    except SecretError:
        return ""
    return found[0] if found else ""
