"""Commands of redis-cli that do the checks of the actions `redis.*` by hand. redis-cli asks for the password."""

from __future__ import annotations

import shlex

from drillbook.sdk.by_hand import Commands, ManualStep
from drillbook.systems.redis.service import Redis


def _asked(*command: str) -> Commands:
    def made(step: ManualStep) -> tuple[str, ...]:
        service = step.service
        if not isinstance(service, Redis):
            return ()
        if step.copied:
            return (shlex.join(["redis-cli", "-s", f"{step.address}/redis.sock", *command]),)
        place = ["-s", service.socket] if service.socket else ["-h", step.address, "-p", str(service.port)]
        words = ["redis-cli", *place]
        words += ["--user", service.user] if service.user else []
        words += ["--askpass"] if service.password else []
        return (shlex.join([*words, *command]),)

    return made


BY_HAND: dict[str, Commands] = {"redis.healthy": _asked("INFO"), "redis.usage": _asked("INFO", "memory")}
