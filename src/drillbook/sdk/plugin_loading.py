"""Loads plugins and the parts that they declare. Every error names the plugin, and the file if it is known.

The errors of a plugin that is not registered yet, as in a contract test, name its package.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path, PurePath
from typing import Any, TypeVar

from drillbook.errors import PluginError
from drillbook.sdk.declaration import System

T = TypeVar("T")

PAGE = "see `A system of your own` in the documentation"
MAPPINGS = {"actions", "probes", "services", "logins"}
"""Fields of ``System`` that are mappings of names to modules."""
MODULES = ("findings", "looks", "host_needs", "by_hand", "varying_arguments")
"""Fields of ``System`` that each name one module."""
FOLDERS = ("trees", "drills", "examples", "rehearsal")
"""Fields of ``System`` that each name a folder in the package of the system."""


def declared(load: Callable[[], Any], origin: str, version: str) -> System:
    """Call ``load``, which returns a System or a package with the attribute ``SYSTEM``. Return this System.

    Raises PluginError when the System cannot be used. The error names ``origin``.
    """
    value = loaded(load, origin)
    system = getattr(value, "SYSTEM", value)
    if not isinstance(system, System):
        raise PluginError(
            f"the plugin of {origin} does not declare SYSTEM",
            hint=f"define SYSTEM = System(__name__, ...) in its package; {PAGE}",
        )
    if wrong := mistake(system):
        file = place(system.package) if isinstance(system.package, str) else ""
        raise PluginError(
            f"the plugin of {origin} declares a SYSTEM{f' in {file}' * bool(file)} that cannot be used: {wrong}",
            hint=f"correct it; {PAGE}",
        )
    return replace(system, origin=origin, version=version)


def loaded(load: Callable[[], T], origin: str) -> T:
    """Call ``load``. Every error becomes a PluginError that names ``origin``."""
    try:
        return load()
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())
        raise PluginError(
            f"the plugin of {origin} cannot be loaded: {type(error).__name__}{': ' * bool(said)}{said}",
            hint=(
                "correct or remove the plugin: until then no drill can be planned, because the names that it defines "
                "are unknown"
            ),
        ) from error


def place(module: str) -> str:
    """Return the path of a module's file. The result is empty when there is no such module. The module itself is not imported,
    but the packages that contain it are.
    """
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    return (spec.origin or "") if spec else ""


def mistake(system: System) -> str:
    """Return the first mistake in the declaration of a system: a field of a wrong type, or a module or folder that does not
    exist in its package. The result is empty when there is no mistake. Only the package itself is imported, none of its
    modules.
    """
    if wrong := _wrong_type(system):
        return wrong
    if not place(system.package):
        return f"there is no package {system.package!r}; write System(__name__, ...)"
    named = [(part, name) for part in sorted(MAPPINGS) for name in getattr(system, part).values()]
    named += [(part, getattr(system, part)) for part in MODULES if getattr(system, part)]
    lacking = (_without_module(system, part, name) for part, name in named)
    return next(filter(None, (*lacking, *(_without_folder(system, part) for part in FOLDERS))), "")


def _wrong_type(system: System) -> str:
    for each in fields(system):
        given = getattr(system, each.name)
        if each.name in MAPPINGS:
            right = isinstance(given, Mapping) and all(isinstance(text, str) for pair in given.items() for text in pair)
            wanted = "a mapping of names to modules, such as {'mysql': '.actions'}"
        elif each.name == "needs":
            right = isinstance(given, tuple) and all(isinstance(text, str) for text in given)
            wanted = "a tuple of names, such as ('linux',)"
        elif each.name == "own_backups":
            right, wanted = isinstance(given, bool), "True or False"
        else:
            right, wanted = isinstance(given, str), "a text"
        if not right:
            return f"`{each.name}` must be {wanted}, not {given!r}"
    return ""


def _without_module(system: System, part: str, name: str) -> str:
    """Return an error text if the module ``name`` is not in the package of ``system``, otherwise an empty text.

    ``part``: field of ``system`` that names the module.
    """
    if not re.fullmatch(r"(\.\w+)+", name):
        return f"`{part}` names the module {name!r}, which is outside its package; write a name such as {'.' + name.strip('.')!r}"
    package = importlib.import_module(system.package)
    full, paths = system.package, getattr(package, "__path__", None)
    for step in name.removeprefix(".").split("."):
        full = f"{full}.{step}"
        spec = importlib.machinery.PathFinder.find_spec(full, list(paths)) if paths is not None else None
        if spec is None:
            return f"`{part}` names the module {name!r}, which does not exist in {folder_of(system)}"
        paths = spec.submodule_search_locations
    return ""


def _without_folder(system: System, part: str) -> str:
    """Return an error text if the field ``part`` of ``system`` names no folder of its package, otherwise an empty text."""
    name: str = getattr(system, part)
    if not name:
        return ""
    own, steps = folder_of(system), PurePath(name).parts
    if name.startswith("/") or ".." in steps or not (own / name).resolve().is_relative_to(own.resolve()):
        return f"`{part}` names the folder {name!r}, which is outside its package {own}"
    return "" if (own / name).is_dir() else f"`{part}` names the folder {name!r}, which does not exist in {own}"


def folder_of(system: System) -> Path:
    """Return the folder of a system's package."""
    return Path(str(importlib.import_module(system.package).__file__)).parent


def check_needs(system: System, names: Iterable[str]) -> None:
    """Raise PluginError when a plugin needs a system that is not among the known ``names``."""
    if missing := sorted(set(system.needs) - set(names)):
        raise PluginError(
            f"the plugin of {named(system)} declares in {place(system.package)} that it needs the system {missing[0]!r}, "
            "which does not exist",
            hint="correct `needs` in its SYSTEM, or install the plugin with this system",
        )


def named(system: System) -> str:
    """Return the words that name a plugin in an error: its origin, or its package if the plugin is not registered yet."""
    return system.origin or system.package


def table(system: System, part: str, attribute: str, kind: type[Any] | Callable[..., Any]) -> Mapping[str, Any]:
    """Import a module of ``system``, and return the mapping ``attribute`` in this module. ``part``: field of ``system`` that
    contains the name of the module.

    ``kind``: class of the values, or a function that tells whether a value is right. Raises PluginError when a plugin's module
    cannot be imported or has no such mapping. The module of a built-in system is not checked.
    """
    name = importlib.util.resolve_name(getattr(system, part), system.package)
    if system.package.startswith("drillbook."):
        built_in: Mapping[str, Any] = getattr(importlib.import_module(name), attribute)
        return built_in
    module = loaded(lambda: importlib.import_module(name), named(system))
    value: Mapping[str, Any] = getattr(module, attribute, None) or {}
    if wrong := _wrong_table(getattr(module, attribute, None), attribute, kind):
        raise PluginError(
            f"the plugin of {named(system)} cannot be used: {wrong}, in {module.__file__}", hint=f"correct it; {PAGE}"
        )
    return value


def _wrong_table(value: Any, attribute: str, kind: type[Any] | Callable[..., Any]) -> str:
    """Return an error text if ``value`` is not a mapping of texts to values of ``kind``, otherwise an empty text."""
    fits = (lambda each: isinstance(each, kind)) if isinstance(kind, type) else kind
    what = kind.__name__ if isinstance(kind, type) else "a function"
    if not isinstance(value, Mapping):
        said = "is not defined" if value is None else f"is {value!r}"
        return f"`{attribute}` must be a mapping of names to {what}, but it {said}"
    for key, each in value.items():
        if not isinstance(key, str) or not fits(each):
            return f"`{attribute}` must be a mapping of names to {what}, but {key!r} is {each!r}"
    return ""
