"""Tries the logins that the steps of the phase `verify` will use, before a drill."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

from drillbook.plan.planned_step import PlannedStep
from drillbook.sdk import login_check
from drillbook.sdk.action import Action
from drillbook.sdk.context import Context
from drillbook.sdk.login_check import LoginCheck
from drillbook.sdk.service import is_sandbox


class Logins:
    """Logins that one `drill.check` tries. Each is tried once, because servers lock an account after several wrong
    passwords."""

    def __init__(self, refusal: LoginCheck = login_check.refused) -> None:
        """Prepare the object. No login was tried yet. ``refusal``: function that tries a login, and returns the message of a
        server that refuses this login."""
        self._refusal = refusal
        self._said: dict[tuple[str, str, bool], str] = {}
        self._trying: dict[tuple[str, str, bool], Lock] = {}

    def refused(self, step: PlannedStep, action: Action, context: Context) -> Iterator[str]:
        """Try the logins that ``step`` will use. Yield a text about each login that a server refuses.

        A service that the drill itself creates, such as a sandbox, does not exist yet, so its login is not tried.

        A server may refuse a login because a role or database is absent. This refusal is not reported if an earlier step of
        the drill makes changes, because that step may create the role or database.
        """
        for name in dict.fromkeys(step.services()):
            service = context.services.get(name)
            if service is None or is_sandbox(service):
                continue
            own = name == getattr(action, "service", None)
            as_user, database = (
                own and getattr(action, "as_", "") == "user",
                getattr(action, "database", None) if own else None,
            )
            with self._trying.setdefault(key := (name, str(database or ""), as_user), Lock()):
                if key not in self._said:
                    self._said[key] = self._refusal(context, service, database=database, as_user=as_user)
            if text := login_check.told(context, name, self._said[key]):
                yield text
