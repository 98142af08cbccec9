"""Connects a run to its hosts, and reads the secrets of its services. The values of these secrets are hidden in
everything that the run writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from drillbook.errors import SecretError, UsageError
from drillbook.hosts.open import open_host
from drillbook.inventory.inventory import Inventory, all_unread, unreadable
from drillbook.plan import needed_services, privilege
from drillbook.plan.planner import Plan
from drillbook.redact import Redactor
from drillbook.sdk.host import Host
from drillbook.values import Secret


@runtime_checkable
class Connects(Protocol):
    """Protocol of hosts that need a connection before their first command."""

    def open(self) -> None:
        """Connect to the host. Raises HostError when this fails."""


def connect(inventory: Inventory, name: str) -> Host:
    """Connect to the host ``name`` of ``inventory``, and return the host. Raises HostError when this fails."""
    host = open_host(inventory.target(name), targets=inventory.hosts)
    if isinstance(host, Connects):
        host.open()
    return host


def require_secrets(plans: Sequence[Plan]) -> None:
    """Read all secrets that runs of ``plans`` need: those of services, and the passwords that sudo asks for on hosts. Raises
    SecretError, which names all secrets that cannot be read.
    """
    secrets: dict[str, Secret] = {}
    for plan in plans:
        secrets |= plan.inventory.secrets_of(sorted(needed_services.of_plan(plan))) | privilege.passwords(plan)
    if errors := unreadable(secrets):
        raise all_unread(errors)


def redactor_for(plan: Plan, unread: list[SecretError] | None = None) -> Redactor:
    """Read the secrets of all services in ``plan``, and return a redactor that hides these secrets.

    Raises SecretError when secrets cannot be read, and UsageError when a secret also appears in plain text in the plan. If
    the list ``unread`` is given, no SecretError is raised. The errors about unreadable secrets, and about unreadable
    passwords of hosts, are then added to this list.
    """
    redactor = Redactor(())
    if unread is not None:
        unread += unreadable(privilege.passwords(plan))
    redactor.learn(*plan.inventory.revealed(needed_services.of_plan(plan), redactor.learn, unread))
    plain = plan.model_dump(mode="json")
    if redactor.value(plain) != plain:
        raise UsageError(
            "a secret of the inventory also appears in plain text in the drill or the inventory, so it "
            "could not be hidden in the journal",
            hint="remove the plain text; if the password is an ordinary word, change the password",
        )
    return redactor
