"""Requests of the actions `http.*`, as a person sends them with curl."""

from __future__ import annotations

import shlex

from drillbook.sdk.by_hand import Commands, ManualStep


def _request(step: ManualStep) -> tuple[str, ...]:
    url, method = step.params.get("url"), str(step.params.get("method") or "GET")
    if not isinstance(url, str):
        return ()
    words = ["curl", "--silent", "--show-error", "--include", *(["--request", method] if method != "GET" else [])]
    headers = step.params.get("headers") or {}
    words += [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    words += ["--data-binary", str(step.params["body"])] if step.params.get("body") else []
    return (shlex.join([*words, url]),)


BY_HAND: dict[str, Commands] = {"http.responds": _request, "http.health": _request}
