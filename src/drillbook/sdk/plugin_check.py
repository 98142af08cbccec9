"""Checks of everything that a plugin declares. They import all its modules, so only `trust` and contract tests run them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drillbook.errors import PluginError
from drillbook.findings import Kind
from drillbook.sdk import discovery, plugin_loading, rehearsal
from drillbook.sdk.action import Action
from drillbook.sdk.declaration import System
from drillbook.sdk.host_needs import HostNeeds
from drillbook.sdk.looks import Look
from drillbook.sdk.probe import Probe
from drillbook.sdk.varying_arguments import VaryingArgument

TABLES: dict[str, tuple[str, type[Any] | Callable[..., Any]]] = {
    "findings": ("FINDINGS", Kind),
    "looks": ("LOOKS", Look),
    "host_needs": ("HOST_NEEDS", HostNeeds),
    "by_hand": ("BY_HAND", callable),
    "varying_arguments": ("VARYING_ARGUMENTS", VaryingArgument),
}
"""Fields of ``System`` that name a module. Each value: name of a mapping in this module, and the class of the mapping's values.
"""


def check(system: System) -> None:
    """Import every module of ``system``, and look up everything that it declares.

    Raises PluginError for the first mistake. Examples of mistakes: a module cannot be imported, an action has no docstring,
    or the class of a service kind is missing.
    """
    for part, kind in (("actions", Action), ("probes", Probe)):
        names: list[str] = discovery.known_names(kind) if getattr(system, part) else []
        if empty := sorted(set(getattr(system, part)) - {name.partition(".")[0] for name in names}):
            raise _error(system, f"the module of the family {empty[0]!r} defines no {part}")
    for service in system.services:
        discovery.service_class(service)
    check_tables(system)
    for path in system.files(rehearsal.FOLDER):
        rehearsal.read(path)


def check_tables(system: System) -> None:
    """Import the modules of ``system`` other than those with actions, probes or services. Look up what these modules must
    define.

    Raises PluginError for the first mistake.
    """
    for module in system.modules("logins").values():
        if not callable(getattr(discovery.imported(module), "refused", None)):
            raise _error(system, f"the module {module} in `logins` defines no function `refused`")
    for part, (attribute, kind) in TABLES.items():
        if getattr(system, part):
            plugin_loading.table(system, part, attribute, kind)


def _error(system: System, wrong: str) -> PluginError:
    return PluginError(
        f"the plugin of {plugin_loading.named(system)} cannot be used: {wrong}, in {plugin_loading.folder_of(system)}",
        hint=f"correct it; {plugin_loading.PAGE}",
    )
