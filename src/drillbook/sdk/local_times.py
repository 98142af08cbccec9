"""Converts local times of a host to moments. The host itself converts them, because it knows its time zone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from drillbook.sdk.host import Deadline, Host

# Standard input: one time in each line. Print its seconds since 1970; a time without a zone is read in the host's time zone.
_SECONDS = 'while IFS= read -r text; do date -d "$text" +%s 2>/dev/null || echo; done'


def moments(host: Host, texts: Sequence[str], deadline: Deadline) -> list[datetime | None]:
    """Convert ``texts``, which are local times in the time zone of ``host``, to moments.

    The moment is None for a text that is not a time. Raises HostError when the host cannot be used.
    """
    lines = "".join(f"{text}\n" for text in texts).encode()
    output = host.run(("sh", "-c", _SECONDS), deadline=deadline, stdin=lines).check()
    return [datetime.fromtimestamp(int(text), UTC) if text else None for text in output.stdout.decode().splitlines()]
