"""Client for the HTTP APIs of Prometheus (``/api/v1``) and Alertmanager (``/api/v2``). Each request returns one JSON answer.

The APIs are documented at https://prometheus.io/docs/prometheus/latest/querying/api/ and in Alertmanager's OpenAPI file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from drillbook.errors import CouldNotVerify
from drillbook.sdk.answer_limits import Budget
from drillbook.sdk.host import Deadline, excerpt
from drillbook.sdk.web import Answer, ask
from drillbook.systems.prometheus.service import Alertmanager, Prometheus

ANSWER_S = 10.0
LEAST_S = 1.0
"""Shortest time limit for one answer, in seconds. Even if the field `within` ends earlier, the last request gets this time."""
LATE = "; the last request was not answered before the time limit"
"""Text that follows the message of a step when its time limit, the field `within`, ended during its last request."""
HINT = (
    "check that the server runs; to have it in the embedded lab, install Debian's packages `prometheus` and "
    "`prometheus-alertmanager` on this machine, and run `invoke lab.down` and `invoke lab.up`"
)
LIMIT = 32 << 20
"""Largest size of an answer, in bytes. Without this limit a query could exhaust the controller's memory."""
_WRONG_QUERY = (400, 422)
"""Statuses with which Prometheus refuses a query (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Api:
    """HTTP API of one server. ``deadline`` limits the time of all requests together, and ``patience_s`` the time of each
    single request, in seconds.
    """

    service: Prometheus | Alertmanager
    deadline: Deadline
    patience_s: float = ANSWER_S

    def get(self, path: str, parameters: Parameters = ()) -> Any:
        """Send a GET request and return the answer's data. Raises CouldNotVerify when there is no answer, or when the answer
        is an error.
        """
        return self._data(path, self._ask(path + (f"?{urlencode(parameters)}" if parameters else "")))

    def post(self, path: str, parameters: Parameters) -> Any:
        """Send a POST request, and return the answer's data as ``get`` does. The parameters are in the body of
        the request, because a parameter such as a query can be too long for a URL.
        """
        return self._data(path, self._ask(path, urlencode(parameters).encode()))

    def _ask(self, path: str, form: bytes = b"") -> Answer:
        headers = {"Accept": "application/json"}
        if self.service.token is not None:
            headers["Authorization"] = f"Bearer {self.service.token.reveal()}"
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.deadline.check()
        try:
            seconds = max(0.1, min(self.patience_s, self.deadline.remaining()))
            return ask(
                self.service.url.rstrip("/") + path,
                timeout=seconds,
                method="POST" if form else "GET",
                headers=headers,
                body=form,
                limit=LIMIT,
            )
        except OSError as error:
            raise CouldNotVerify(f"{self.service.name} ({self.service.url}) does not answer: {error}", hint=HINT) from None

    def _data(self, path: str, answer: Answer) -> Any:
        if not answer.complete:
            raise CouldNotVerify(
                f"the answer of {self.service.name} is longer than {LIMIT >> 20} MiB",
                hint="ask for fewer series, or a longer `step`",
            )
        Budget(f"the answer of {self.service.name}", LIMIT).take_json(answer.body)
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        if answer.status != 200 or document is None:
            said = document.get("error") if isinstance(document, dict) else None
            raise CouldNotVerify(
                f"{self.service.name} answered {path} with status {answer.status}: "
                f"{excerpt(str(said), limit=400) if said else excerpt(answer.body, limit=200)}",
                hint="correct the query"
                if answer.status in _WRONG_QUERY
                else f"check {self.service.setting('url')} and {self.service.setting('token')}",
            )
        if self.service.kind == "alertmanager":
            return document
        return document.get("data") if isinstance(document, dict) else None
