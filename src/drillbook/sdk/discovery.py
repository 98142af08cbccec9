"""Discovery of systems: which packages bring actions, probes and service kinds, and the classes behind their names.

A system is a package whose ``SYSTEM`` declares by module what it brings. Only that declaration is read until one of its
names is asked for: then the module is imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from drillbook import findings
from drillbook.errors import PluginError, UnknownName
from drillbook.sdk.service import Service

T = TypeVar("T")

BUILT_IN = "drillbook.systems"
"""The package that holds the systems that Drillbook brings."""
ABOVE = ("drillbook.diagnosis",)
"""Packages above the systems that bring actions of their own."""
GROUP = "drillbook.systems"
"""Group of the entry points by which installed distributions name their systems."""


@dataclass(frozen=True, slots=True)
class System:
    """Declaration of a system: its package, and the modules in it by what they bring."""

    package: str
    """Dotted name of the package; modules are named relative to it, such as ``.actions``."""
    actions: Mapping[str, str] = field(default_factory=dict)
    """Module or package by family, the part of an action's name before the dot."""
    probes: Mapping[str, str] = field(default_factory=dict)
    """Module or package by family, the part of a probe's name before the dot."""
    services: Mapping[str, str] = field(default_factory=dict)
    """Module by kind of service, as inventories write it."""
    needs: tuple[str, ...] = ()
    """Names of the systems whose packages this one imports."""
    findings: str = ""
    """Module with ``FINDINGS``, its finding codes and their kinds; empty: it has none of its own."""
    trees: str = ""
    """Folder in the package that holds its diagnosis trees; empty: none."""
    drills: str = ""
    """Folder in the package that holds the drills that ship with it; empty: none."""
    origin: str = ""
    """Distribution or folder that it comes from, set when it is found; empty: Drillbook itself."""
    version: str = ""
    """Version of its distribution, or digest of its files, set when it is found; empty: Drillbook's own."""

    @property
    def name(self) -> str:
        """Last part of the package's name."""
        return self.package.rpartition(".")[2]

    def folder(self, part: str) -> Path | None:
        """Folder of its ``trees`` or ``drills``; None when it ships none."""
        declared: str = getattr(self, part)
        module = importlib.import_module(self.package)
        return Path(str(module.__file__)).parent / declared if declared else None

    def modules(self, part: str) -> Mapping[str, str]:
        """Absolute names of modules by family or kind; ``part`` is ``actions``, ``probes`` or ``services``."""
        declared: Mapping[str, str] = getattr(self, part)
        return {name: importlib.util.resolve_name(module, self.package) for name, module in declared.items()}


_added: list[System] = []
_left_out: list[str] = []
_broken: list[str] = []
_lenient: list[bool] = []
_known: dict[tuple[str, type[Any]], tuple[type[Any], ...]] = {}


def add(system: System) -> None:
    """Make a system known beside those that are there. Raises PluginError when it cannot be used."""
    _fitting(system, systems())
    _added.append(system)
    _forget()


def left_out(why: str) -> None:
    """Remember why some plugins are not used: whoever asks for an unknown name is told."""
    _left_out[:] = [why] if why else []


def spare() -> None:
    """Leave out plugins that cannot be used from now on, as they were left out for trust: a recovery must not wait for them."""
    _lenient[:] = [True]
    _forget()


def unused(error: PluginError) -> None:
    """Leave out a plugin that cannot be used, after ``spare``. Raises ``error`` before."""
    if not _lenient:
        raise error
    _broken[:] = [*dict.fromkeys((*_broken, f"left out: {error.message}"))]


def broken() -> tuple[str, ...]:
    """Plugins that are left out since they cannot be used, and why."""
    return tuple(_broken)


def hint(*said: str) -> str:
    """``said``, and why some plugins are not used; empty: nothing was said, and all are."""
    return "; ".join(text for text in (*said, *_left_out, *_broken) if text)


def remove(system: System) -> None:
    """Take back ``add``."""
    _added.remove(system)
    _forget()


def _forget() -> None:
    _known.clear()
    for kept in (systems, _modules, _families, _shipped):
        kept.cache_clear()


@cache
def systems() -> tuple[System, ...]:
    """All systems that are known, those that are built in first."""
    packages = pkgutil.iter_modules(importlib.import_module(BUILT_IN).__path__, f"{BUILT_IN}.")
    names = [*sorted(info.name for info in packages), *ABOVE]
    found = [importlib.import_module(name).SYSTEM for name in names]
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name):
        try:
            system = _installed(point)
            _fitting(system, found)
        except PluginError as error:
            unused(error)
        else:
            found.append(system)
    return (*found, *_added)


def _installed(point: importlib.metadata.EntryPoint) -> System:
    """The system that an installed distribution names. Raises PluginError."""
    dist = point.dist
    return declared(
        point.load, f"the distribution {dist.name if dist else point.value}", f"version {dist.version}" if dist else ""
    )


def declared(load: Callable[[], Any], origin: str, version: str) -> System:
    """The declaration that ``load`` gives, the object or its package. Raises PluginError that names ``origin``."""
    found = _loaded(load, origin)
    system = getattr(found, "SYSTEM", found)
    if not isinstance(system, System):
        raise PluginError(
            f"the plugin of {origin} declares no system",
            hint="write SYSTEM = System(__name__, ...) into its package; see docs/plugins.md",
        )
    parts = (system.actions, system.probes, system.services)
    for module in (*(name for part in parts for name in part.values()), system.findings):
        if module and not module.startswith("."):
            raise PluginError(
                f"the plugin of {origin} names the module {module!r} outside its package",
                hint=f"name it relative to its package, such as {'.' + module!r}",
            )
    return replace(system, origin=origin, version=version)


def _loaded(load: Callable[[], T], origin: str) -> T:
    try:
        return load()
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())
        raise PluginError(
            f"the plugin of {origin} cannot be loaded: {type(error).__name__}{': ' * bool(said)}{said}",
            hint="mend it, or take it away: until then no drill is planned, since what it brings is not known",
        ) from error


def _fitting(system: System, known: Iterable[System]) -> None:
    """Raise PluginError unless what ``system`` brings has names of its own."""
    for other in known:
        for part, what in (("actions", "actions"), ("probes", "probes"), ("services", "services of the kind")):
            for name in getattr(system, part).keys() & getattr(other, part).keys():
                holder = other.origin or "Drillbook itself"
                raise PluginError(
                    f"the plugin of {system.origin or system.package} brings {what} {name!r}, which {holder} brings already",
                    hint="give them another name in its SYSTEM",
                )
    if system.findings:
        name = importlib.util.resolve_name(system.findings, system.package)
        _loaded(lambda: findings.register(importlib.import_module(name).FINDINGS), system.origin or system.package)


@cache
def _modules(part: str) -> dict[str, str]:
    return {name: module for system in systems() for name, module in system.modules(part).items()}


@cache
def _families() -> dict[str, str]:
    """Family by the module that holds it."""
    return {module: name for part in ("actions", "probes") for name, module in _modules(part).items()}


def plugins(names: Iterable[str], kinds: Iterable[str]) -> dict[str, str]:
    """Versions by origin of the plugins that bring actions and probes ``names`` and ``kinds`` of services."""
    used, of = {name.partition(".")[0] for name in names}, set(kinds)
    return {
        system.origin: system.version
        for system in systems()
        if system.origin and (used & {*system.actions, *system.probes} or of & system.services.keys())
    }


def families(part: str) -> list[str]:
    """Families of actions or probes, sorted."""
    return sorted(_modules(part))


def family_of(module: str) -> str | None:
    """The family that a module belongs to; None when no system declares it."""
    if module.startswith(f"{__package__}."):
        return None  # the base classes of the SDK itself: the systems need not be looked for
    while module:
        if module in _families():
            return _families()[module]
        module = module.rpartition(".")[0]
    return None


def name_of(cls: type[Any]) -> str:
    """The YAML name of an action or a probe: its family and its class, such as ``postgres.lose_data``."""
    family = family_of(cls.__module__) or cls.__module__.rpartition(".")[2]
    return f"{family}.{re.sub(r'(?<!^)(?=[A-Z])', '_', cls.__name__).lower()}"


def find(name: str, kind: type[Any]) -> type[Any]:
    """The class of ``kind``, Action or Probe, with this name; imports its family alone. Raises UnknownName."""
    module = _modules(kind.PART).get(name.partition(".")[0])
    for found in _classes(module, kind) if module else ():
        if name_of(found) == name:
            return found
    raise UnknownName(f"there is no {kind.__name__.lower()} {name!r}", hint=hint())


def known_names(kind: type[Any]) -> list[str]:
    """Names of all classes of ``kind``, sorted; imports the modules of every system."""
    return sorted(name_of(found) for module in _modules(kind.PART).values() for found in _classes(module, kind))


def _classes(name: str, kind: type[Any]) -> tuple[type[Any], ...]:
    """Classes of ``kind`` that are defined in a module, or in the modules of a package."""
    if (name, kind) not in _known:
        _known[name, kind] = tuple(_defined(name, kind))
    return _known[name, kind]


def _defined(name: str, kind: type[Any]) -> Iterator[type[Any]]:
    module = imported(name)
    for part in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield from _defined(f"{name}.{part.name}", kind)
    found: list[type[Any]] = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, kind)]
    for cls in found:
        if cls.__module__ == name and not cls.__name__.startswith("_"):
            _of_plugin(name, cls.check_declaration)
            yield cls


def imported(name: str) -> ModuleType:
    """A module of a system. Raises PluginError for one of a plugin that cannot be imported."""
    return _of_plugin(name, partial(importlib.import_module, name))


def _of_plugin(module: str, load: Callable[[], T]) -> T:
    """``load`` something of a module; for one of a plugin, whatever it raises is a PluginError that names the plugin."""
    plugin = next((one for one in systems() if one.origin and f"{module}.".startswith(f"{one.package}.")), None)
    return _loaded(load, plugin.origin) if plugin else load()


def shipped(part: str) -> Mapping[str, Path]:
    """Files that systems ship by name, of ``trees`` or ``drills``. Raises PluginError for a name that two of them ship."""
    return _shipped(part)


@cache
def _shipped(part: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for system in systems():
        folder = system.folder(part)
        for path in sorted(folder.glob("*.yml")) if folder else ():
            if path.stem in found:
                raise PluginError(
                    f"two plugins ship {part} named {path.stem!r}: {found[path.stem]} and {path}",
                    hint="give one of them another name",
                )
            found[path.stem] = path
    return found


def service_kinds() -> tuple[str, ...]:
    """All kinds of services, sorted."""
    return tuple(sorted(_modules("services")))


def service_class(kind: str) -> type[Service]:
    """The model of a kind of service. Raises UnknownName."""
    module = _modules("services").get(kind)
    for found in vars(imported(module)).values() if module else ():
        if isinstance(found, type) and issubclass(found, Service) and kind_default(found) == kind:
            return found
    raise UnknownName(f"there is no kind of service {kind!r}", hint=hint(f"kinds: {', '.join(service_kinds())}"))


def kind_default(model: type[Service]) -> str:
    """The kind that services of ``model`` are of; empty for the base of all."""
    info = model.model_fields.get("kind")
    return "" if info is None else str(info.default)
