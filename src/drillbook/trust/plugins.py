"""Plugins of a project: packages in its folder `plugins/`, imported only when somebody trusted exactly these files.

All files are read once, and what was compared with the trusted digest is what is imported: no compiled file, and nothing
that is written there meanwhile.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, ModuleType

from drillbook.errors import PluginError
from drillbook.sdk import discovery
from drillbook.trust import record
from drillbook.trust.record import Record
from drillbook.trust.scan import relative
from drillbook.values import canonical, digest

FOLDER = "plugins"
NAMESPACE = "drillbook_plugins"
"""The package below which plugins of a project are imported: none can take the place of an installed one."""
LARGEST = 16 << 20
"""Bytes of all files of all plugins of a project."""
SCHEME = "drillbook-plugin:"
"""Beginning of the search path of their packages: it is no folder, so that nothing is ever found beside what was read."""


@dataclass(frozen=True)
class Plugins:
    """The files of the plugins of a project, as they were read."""

    root: Path
    files: Mapping[str, bytes]
    """Content by path, relative to the project."""
    links: Sequence[str] = ()
    """Links among them, which are not followed."""

    @cached_property
    def names(self) -> list[str]:
        """Names of the packages."""
        inits = (Path(path).parts for path in self.files)
        return sorted({parts[1] for parts in inits if len(parts) == 3 and parts[2] == "__init__.py"})

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of each file."""
        return {path: digest(content) for path, content in self.files.items()}

    @cached_property
    def digest(self) -> str:
        """Names all files together."""
        return digest(canonical(self.digests))

    @cached_property
    def doubt(self) -> str:
        """Why they are not trusted; empty: they are, or there are none."""
        return record.doubt(self.root, FOLDER, self.digest, several=True) if self.names else ""

    def record(self) -> Record | None:
        """The record of trust in them. Raises Unusable."""
        return record.read(self.root, FOLDER)

    @property
    def skipped(self) -> str:
        """What is not looked at, for a person; empty: nothing."""
        return f"a link is not followed: {', '.join(self.links)}" if self.links else ""


def read(root: Path) -> Plugins:
    """Read all files below `plugins/` but compiled ones; links are not followed. Raises PluginError."""
    files: dict[str, bytes] = {}
    links: list[str] = []
    size = 0
    for path in _below(root / FOLDER):
        if path.is_symlink():
            links.append(relative(path, root))
        elif path.is_file():
            files[relative(path, root)] = _content(path, LARGEST - size)
            size += len(files[relative(path, root)])
    return Plugins(root, files, links)


def _content(path: Path, most: int) -> bytes:
    """All of a file that is no link. Raises PluginError, also when it has more than ``most`` bytes."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise PluginError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise PluginError(
            f"the files in {FOLDER}/ have more than {LARGEST >> 20} MiB, with {path}", hint="remove what is no plugin"
        )
    return content


def _below(folder: Path) -> Iterator[Path]:
    """Files and links below ``folder``, which may be a link itself; folders of compiled files are left out."""
    if folder.is_symlink():
        yield folder
        return
    for inner, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        links = [name for name in folders if Path(inner, name).is_symlink()]
        yield from (Path(inner, name) for name in sorted([*names, *links]) if not name.endswith(".pyc"))


def use(root: Path) -> str:
    """Make the plugins of the project in ``root`` known, if they are trusted; why they are not, or an empty text.

    Raises PluginError for one that cannot be used.
    """
    found = read(root)
    doubt = found.doubt
    why = f"the plugins in {FOLDER}/ ({', '.join(found.names)}) are left out: {doubt}; see `invoke trust`" if doubt else ""
    discovery.left_out("; ".join(text for text in (why, found.skipped) if text))
    if found.names and not doubt:
        _import(found)
    return doubt


def _import(plugins: Plugins) -> None:
    space = sys.modules.get(NAMESPACE)
    if space is not None:
        if vars(space).get("__plugins__") != plugins.digest:
            raise PluginError(f"other plugins than those in {plugins.root / FOLDER} are in use already", hint="start anew")
        return
    space = ModuleType(NAMESPACE, "Plugins of the project.")
    space.__path__ = [SCHEME]
    vars(space)["__plugins__"] = plugins.digest
    sys.path_hooks.insert(0, partial(_finder, plugins))
    sys.modules[NAMESPACE] = space
    for name in plugins.names:
        try:
            load = partial(importlib.import_module, f"{NAMESPACE}.{name}")
            discovery.add(discovery.declared(load, f"{FOLDER}/{name}", plugins.digest))
        except PluginError as error:
            discovery.unused(error)


def _finder(plugins: Plugins, path: str) -> _Finder:
    """The finder for a place in the search path of plugins. Raises ImportError for any other."""
    if not path.startswith(SCHEME):
        raise ImportError(path)
    return _Finder(plugins, path.removeprefix(SCHEME))


class _Finder(importlib.abc.PathEntryFinder):
    """Finds the modules of one package among the files that were read."""

    def __init__(self, plugins: Plugins, inner: str) -> None:
        self.plugins, self.folder = plugins, f"{FOLDER}/{inner}".rstrip("/")

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        """The module, or None when no file of this name was read."""
        inner = f"{self.folder}/{fullname.rpartition('.')[2]}"
        for file, is_package in ((f"{inner}/__init__.py", True), (f"{inner}.py", False)):
            if file in self.plugins.files:
                loader = _Loader(self.plugins, file)
                spec = importlib.machinery.ModuleSpec(fullname, loader, origin=loader.place, is_package=is_package)
                spec.has_location = True
                if is_package:
                    spec.submodule_search_locations = [f"{SCHEME}{inner.removeprefix(FOLDER + '/')}"]
                return spec
        return None

    def iter_modules(self, prefix: str = "") -> Iterator[tuple[str, bool]]:
        """Names of the modules here, as pkgutil asks for them, and which are packages."""
        for file in self.plugins.files:
            name, _, rest = file.removeprefix(f"{self.folder}/").partition("/")
            if not file.startswith(f"{self.folder}/") or name == "__init__.py":
                continue
            if rest == "__init__.py":
                yield prefix + name, True
            elif not rest and name.endswith(".py"):
                yield prefix + name.removesuffix(".py"), False


class _Loader(importlib.abc.InspectLoader):
    """Compiles the source that was read; compiled files of the folder are not looked at."""

    def __init__(self, plugins: Plugins, file: str) -> None:
        self.plugins, self.file = plugins, file

    @property
    def place(self) -> str:
        """Path of the module's file."""
        return str(self.plugins.root / self.file)

    def get_source(self, fullname: str) -> str:
        """The text of the module."""
        return importlib.util.decode_source(self.plugins.files[self.file])

    def get_code(self, fullname: str) -> CodeType:
        """The module, compiled."""
        return self.source_to_code(self.plugins.files[self.file], self.place)

    def get_data(self, path: str) -> bytes:
        """A file beside it, as pkgutil asks for it: as it was read. Raises OSError."""
        try:
            return self.plugins.files[relative(Path(path), self.plugins.root)]
        except KeyError:
            raise FileNotFoundError(path) from None
