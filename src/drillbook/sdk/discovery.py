"""Finds systems and looks up their classes by name. A system is a package with actions, probes and service kinds.

Each system declares its modules in ``SYSTEM``. At first only this declaration is read. A module is imported when one of its
names is used.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from drillbook import findings
from drillbook.errors import PluginError, UnknownName
from drillbook.sdk import plugin_loading
from drillbook.sdk.declaration import System as System  # noqa: PLC0414  plugins import it from this module

if TYPE_CHECKING:
    from drillbook.sdk.service import Service

T = TypeVar("T")

BUILT_IN = "drillbook.systems"
"""Package of the built-in systems."""
ABOVE = ("drillbook.diagnosis",)
"""Packages outside ``BUILT_IN`` that also declare actions."""
GROUP = "drillbook.systems"
"""Entry point group in which installed distributions declare their systems."""


_added: list[System] = []
_left_out: list[str] = []
_broken: list[str] = []
_lenient: list[bool] = []
_known: dict[tuple[str, type[Any]], tuple[type[Any], ...]] = {}
_named: dict[tuple[str, type[Any]], dict[str, type[Any]]] = {}


def add(system: System) -> None:
    """Register a system. Raises PluginError when another system already uses one of its names."""
    _fitting(system, systems())
    _added.append(system)
    _forget()


def left_out(why: str) -> None:
    """Store the reason why plugins were not loaded. An empty text removes the reason.

    An error about an unknown name shows this reason, since a plugin could define the name.
    """
    _left_out[:] = [why] if why else []


def spare() -> None:
    """Skip unusable plugins from now on, without an error.

    Called by tasks that recover runs, read runs or stop something, and by tasks without any need of plugins. An unusable
    plugin then cannot block these tasks.
    """
    _lenient[:] = [True]
    _forget()


def unused(error: PluginError) -> None:
    """Handle the error of an unusable plugin. If ``spare`` was called, unusable plugins are skipped, and this function notes
    the error for ``broken``. Otherwise raise ``error``.
    """
    if not _lenient:
        raise error
    _broken[:] = [*dict.fromkeys((*_broken, f"not loaded: {error.message}"))]


def broken() -> tuple[str, ...]:
    """Return a line for each unusable plugin that was skipped. The line tells the reason."""
    return tuple(_broken)


def hint(*said: str) -> str:
    """Return one hint that joins the hints in ``said`` and the reasons why plugins were not loaded.

    The result is empty when there are no hints and no reasons.
    """
    return "; ".join(text for text in (*said, *_left_out, *_broken) if text)


def remove(system: System) -> None:
    """Unregister a system that ``add`` registered."""
    _added.remove(system)
    _forget()


@contextmanager
def registered(system: System) -> Iterator[None]:
    """Within the ``with`` block, register a system, unless its package is already known.

    Raises PluginError when another system uses one of its names.
    """
    if any(known.package == system.package for known in systems()):
        yield
        return
    add(system)
    try:
        yield
    finally:
        remove(system)


def _forget() -> None:
    _known.clear()
    _named.clear()
    for kept in (systems, _modules, _families, _shipped):
        kept.cache_clear()


@cache
def systems() -> tuple[System, ...]:
    """Return all known systems. The built-in systems come first."""
    packages = pkgutil.iter_modules(importlib.import_module(BUILT_IN).__path__, f"{BUILT_IN}.")
    names = [*sorted(info.name for info in packages), *ABOVE]
    known = [importlib.import_module(name).SYSTEM for name in names]
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name):
        try:
            system = _installed(point)
            _fitting(system, known)
        except PluginError as error:
            unused(error)
        else:
            known.append(system)
    return (*_without_lacking(known), *_added)


def _without_lacking(known: list[System]) -> Iterator[System]:
    """Yield those of the ``known`` systems that can be used. A plugin that needs another system is left out when that system
    is not known.
    """
    names = {system.name for system in known}
    for system in known:
        try:
            if system.origin:
                plugin_loading.check_needs(system, names)
            yield system
        except PluginError as error:
            unused(error)


def _installed(point: importlib.metadata.EntryPoint) -> System:
    """Load the system of an installed distribution.

    Raises PluginError when the distribution does not declare a valid system.
    """
    dist = point.dist
    return plugin_loading.declared(
        point.load, f"the distribution {dist.name if dist else point.value}", f"version {dist.version}" if dist else ""
    )


def _fitting(system: System, known: Iterable[System]) -> None:
    """Raise PluginError when ``system`` defines a name that a system in ``known`` already uses."""
    for other in known:
        for part, what in (("actions", "actions"), ("probes", "probes"), ("services", "services of the kind")):
            for name in getattr(system, part).keys() & getattr(other, part).keys():
                holder = other.origin or "Drillbook itself"
                raise PluginError(
                    (
                        f"the plugin of {system.origin or system.package} defines {what} {name!r}, which {holder} "
                        "already defines"
                    ),
                    hint="choose another name in the SYSTEM of the plugin",
                )
    if system.findings:
        codes = plugin_loading.table(system, "findings", "FINDINGS", findings.Kind)
        plugin_loading.loaded(lambda: findings.register(codes), plugin_loading.named(system))


@cache
def _modules(part: str) -> dict[str, str]:
    return {name: module for system in systems() for name, module in system.modules(part).items()}


@cache
def _families() -> dict[str, str]:
    """Return all families of actions and probes. The key of each entry is the module that defines the family."""
    return {module: name for part in ("actions", "probes") for name, module in _modules(part).items()}


def log_restore(action: str) -> str:
    """Find the system that defines ``action``, and return the name of its action that restores a backup together with an
    archived log. The result is empty if no system defines ``action``, or if this system declares no such action.
    """
    family = action.partition(".")[0]
    return next((system.log_restore for system in systems() if family in system.actions), "")


def routine_drill(action: str) -> str:
    """Return the name of the drill of the catalogue that restores a routine backup of the data which ``action`` restores. The
    result is empty if the system that defines ``action`` declares none, or if no system defines ``action``.
    """
    family = action.partition(".")[0]
    return next((system.routine_drill for system in systems() if family in system.actions), "")


def restores_routine(drill: str) -> bool:
    """Return True for a drill of the catalogue that restores a routine backup, and takes no backup of its own."""
    return any(system.routine_drill == drill for system in systems())


def needs_backup_job(drill: str) -> bool:
    """Return True for a drill of the catalogue that restores routine backups which only a job of a team takes. No lab has such a
    job.
    """
    return any(system.routine_drill == drill and not system.own_backups for system in systems())


def own_backups(action: str) -> bool:
    """Return True if the servers of the system that defines ``action`` write routine backups themselves, without a job."""
    family = action.partition(".")[0]
    return any(system.own_backups for system in systems() if family in system.actions)


def plugins(names: Iterable[str], kinds: Iterable[str]) -> dict[str, str]:
    """Return the plugins that define any of the given names. The key of each entry is the plugin's origin, and the value is
    its version.

    ``names``: names of actions and probes. ``kinds``: kinds of services.
    """
    used, of = {name.partition(".")[0] for name in names}, set(kinds)
    return {
        system.origin: system.version
        for system in systems()
        if system.origin and (used & {*system.actions, *system.probes} or of & system.services.keys())
    }


def families(part: str) -> list[str]:
    """Return the families of all systems, sorted. A family is the first part of a name, such as
    ``postgres`` in ``postgres.restore``. ``part``: ``actions`` or
    ``probes``."""
    return sorted(_modules(part))


def family_of(module: str) -> str | None:
    """Return the family that a module belongs to. Return None when no system declares the module."""
    if module.startswith(f"{__package__}."):
        return None  # a base class of the SDK belongs to no system
    while module:
        if module in _families():
            return _families()[module]
        module = module.rpartition(".")[0]
    return None


def name_of(cls: type[Any]) -> str:
    """Return the name of an action or a probe in YAML: its family and its class, such as ``postgres.lose_data``."""
    family = family_of(cls.__module__) or cls.__module__.rpartition(".")[2]
    return f"{family}.{re.sub(r'(?<!^)(?=[A-Z])', '_', cls.__name__).lower()}"


def find(name: str, kind: type[Any]) -> type[Any]:
    """Return the class with the name ``name``. ``kind``: Action or Probe. Only the module of the name's first part is
    imported, such as `postgres` for `postgres.restore`.

    Raises UnknownName when there is no such class.
    """
    module = _modules(kind.PART).get(name.partition(".")[0])
    if cls := _by_name(module, kind).get(name) if module else None:
        return cls
    raise UnknownName(f"there is no {kind.__name__.lower()} {name!r}", hint=hint())


def _by_name(module: str, kind: type[Any]) -> dict[str, type[Any]]:
    """Return the classes of ``kind`` in a module. The key of each entry is the YAML name of the class.

    When two classes have the same name, the first class is used.
    """
    if (module, kind) not in _named:
        _named[module, kind] = {name_of(cls): cls for cls in reversed(_classes(module, kind))}
    return _named[module, kind]


def known_names(kind: type[Any]) -> list[str]:
    """Return the sorted names of all classes of ``kind``. Imports the modules of every system."""
    return sorted(name_of(cls) for module in _modules(kind.PART).values() for cls in _classes(module, kind))


def _classes(name: str, kind: type[Any]) -> tuple[type[Any], ...]:
    """Return the classes of ``kind`` that are defined in the module ``name``. If it is a package, its modules are included."""
    if (name, kind) not in _known:
        _known[name, kind] = tuple(_defined(name, kind))
    return _known[name, kind]


def _defined(name: str, kind: type[Any]) -> Iterator[type[Any]]:
    module = imported(name)
    for part in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield from _defined(f"{name}.{part.name}", kind)
    classes: list[type[Any]] = [var for var in vars(module).values() if isinstance(var, type) and issubclass(var, kind)]
    for cls in classes:
        if cls.__module__ == name and not cls.__name__.startswith("_"):
            _of_plugin(name, cls.check_declaration)
            yield cls


def imported(name: str) -> ModuleType:
    """Import the module ``name`` of a system. Raises PluginError when it belongs to a plugin and cannot be imported."""
    return _of_plugin(name, partial(importlib.import_module, name))


def _of_plugin(module: str, load: Callable[[], T]) -> T:
    """Call ``load`` for a module.

    If the module belongs to a plugin, every error becomes a PluginError that names the plugin.
    """
    plugin = next((system for system in systems() if system.origin and f"{module}.".startswith(f"{system.package}.")), None)
    return plugin_loading.loaded(load, plugin.origin) if plugin else load()


def shipped(part: str) -> Mapping[str, Path]:
    """Return the paths of the files that systems contain. The key of each entry is the file's name. ``part``: ``trees``,
    ``drills`` or ``rehearsal``.

    Raises PluginError when two plugins contain files of the same name.
    """
    return _shipped(part)


@cache
def _shipped(part: str) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for system in systems():
        for path in system.files(part):
            if path.stem in paths:
                raise PluginError(
                    f"two plugins contain {part} named {path.stem!r}: {paths[path.stem]} and {path}",
                    hint="rename one of the two files",
                )
            paths[path.stem] = path
    return paths


def service_kinds() -> tuple[str, ...]:
    """Return all kinds of services, sorted."""
    return tuple(sorted(_modules("services")))


def service_class(kind: str) -> type[Service]:
    """Return the model of a kind of service. Raises UnknownName when there is no such kind."""
    module = _modules("services").get(kind)
    if module is None:
        raise UnknownName(f"there is no kind of service {kind!r}", hint=hint(f"kinds: {', '.join(service_kinds())}"))
    from drillbook.sdk.service import Service  # noqa: PLC0415  keeps start-up fast

    for var in vars(imported(module)).values():
        if isinstance(var, type) and issubclass(var, Service) and kind_default(var) == kind:
            return var
    owner = next(system for system in systems() if kind in system.services)
    raise PluginError(
        f"the plugin of {plugin_loading.named(owner)} declares the kind of service {kind!r}, but no class in "
        f"{imported(module).__file__} defines it",
        hint=f'derive a class from Service, with the field kind: Literal["{kind}"] = "{kind}"',
    )


def kind_default(model: type[Service]) -> str:
    """Return the kind that services of ``model`` have by default. The result is empty for the base class."""
    info = model.model_fields.get("kind")
    return "" if info is None else str(info.default)
