"""Heartbeat of a project. After each success, a request is sent to a monitoring service. The service raises an alarm
when the requests stop.

Examples of such services are Healthchecks.io, Uptime Kuma and Dead Man's Snitch. They wait for a GET request.
"""

from __future__ import annotations

from drillbook.errors import SecretError
from drillbook.notify.sending import NotDelivered
from drillbook.sdk import web
from drillbook.values import Secret

TIMEOUT_S = 10.0


def beat(url: Secret) -> None:
    """Send a GET request to ``url``. Raises NotDelivered unless the service answers with a status 2xx."""
    try:
        answer = web.ask(url.reveal().strip(), timeout=TIMEOUT_S)
    except SecretError as error:
        raise NotDelivered(error.message) from None
    except (OSError, ValueError) as error:
        raise NotDelivered(f"the service cannot be reached: {type(error).__name__}") from None
    if not 200 <= answer.status < 300:
        raise NotDelivered(f"the service answered with status {answer.status}")
