"""Plugins of a project: packages in its folder `plugins/`, imported only when somebody trusted exactly these files.

All files are read once, and what was compared with the trusted digest is what is imported: no compiled file, and nothing
that is written there meanwhile.
"""

from __future__ import annotations

import hmac
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType

from drillbook.errors import PluginError
from drillbook.sdk import discovery
from drillbook.trust import record
from drillbook.trust.record import Record, Unusable
from drillbook.trust.scan import relative
from drillbook.values import canonical, digest

FOLDER = "plugins"
NAMESPACE = "drillbook_plugins"
"""The package below which plugins of a project are imported: none can take the place of an installed one."""
LARGEST = 16 << 20
"""Bytes of all files of all plugins of a project."""
VARIABLE = "DRILLBOOK_TRUST"
"""Holds the digests that are trusted, where nobody can be asked, as in CI; it then counts alone."""


@dataclass(frozen=True, slots=True)
class Plugins:
    """The files of the plugins of a project, as they were read."""

    root: Path
    files: Mapping[str, bytes]
    """Content by path, relative to the project."""

    @property
    def names(self) -> list[str]:
        """Names of the packages."""
        inits = (Path(path).parts for path in self.files)
        return sorted({parts[1] for parts in inits if len(parts) == 3 and parts[2] == "__init__.py"})

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each file."""
        return {path: digest(content) for path, content in self.files.items()}

    @property
    def digest(self) -> str:
        """Names all files together."""
        return digest(canonical(self.digests))

    def doubt(self) -> str:
        """Why they are not trusted; empty: they are, or there are none."""
        if not self.names:
            return ""
        if said := os.environ.get(VARIABLE, ""):
            return "" if holds(said, self.digest) else f"{VARIABLE} does not hold {self.digest}"
        try:
            kept = self.record()
        except Unusable as error:
            return str(error).replace("\n  hint: ", "; ")
        if kept is None:
            return "nobody has trusted them yet"
        return "" if kept.digest == self.digest else f"they have changed since they were trusted, {kept.at}"

    def record(self) -> Record | None:
        """The record of trust in them. Raises Unusable."""
        return record.read(self.root, FOLDER)


def holds(said: str, wanted: str) -> bool:
    """Is ``wanted`` one of the digests in ``said``, which are separated by commas or spaces?"""
    given = [one.strip().encode() for one in said.replace(",", " ").split()]
    return any(hmac.compare_digest(one, wanted.encode()) for one in given)


def read(root: Path) -> Plugins:
    """Read all files below `plugins/` but compiled ones; links are not followed. Raises PluginError."""
    files: dict[str, bytes] = {}
    size = 0
    for path in _below(root / FOLDER):
        try:
            files[relative(path, root)] = path.read_bytes()
        except OSError as error:
            raise PluginError(f"{path} cannot be read: {error.strerror}") from None
        size += len(files[relative(path, root)])
        if size > LARGEST:
            raise PluginError(
                f"the files in {root / FOLDER} have more than {LARGEST >> 20} MiB", hint="remove what is no plugin"
            )
    return Plugins(root, files)


def _below(folder: Path) -> Sequence[Path]:
    found = []
    for inner, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        found += [Path(inner, name) for name in sorted(names) if not name.endswith(".pyc")]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def use(root: Path) -> str:
    """Make the plugins of the project in ``root`` known, if they are trusted; why they are not, or an empty text.

    Raises PluginError for one that cannot be used.
    """
    found = read(root)
    if not found.names:
        return ""
    doubt = found.doubt()
    discovery.left_out(
        f"the plugins in {FOLDER}/ ({', '.join(found.names)}) are left out: {doubt}; see `invoke trust`" if doubt else ""
    )
    if not doubt:
        _import(found)
    return doubt


def _import(plugins: Plugins) -> None:
    if NAMESPACE in sys.modules:
        return
    finder = _Finder(plugins)
    sys.meta_path.append(finder)
    space = ModuleType(NAMESPACE, "Plugins of the project.")
    space.__path__ = []
    sys.modules[NAMESPACE] = space
    for name in plugins.names:
        package = f"{NAMESPACE}.{name}"
        discovery.add(discovery.declared(partial(importlib.import_module, package), f"{FOLDER}/{name}"))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules among the files that were read."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module, or None when it is none of theirs."""
        if not fullname.startswith(f"{NAMESPACE}."):
            return None
        inner = f"{FOLDER}/{fullname.removeprefix(NAMESPACE + '.').replace('.', '/')}"
        for file, is_package in ((f"{inner}/__init__.py", True), (f"{inner}.py", False)):
            if file in self.plugins.files:
                place = str(self.plugins.root / file)
                loader = _Loader(self.plugins.files[file], place)
                spec = importlib.machinery.ModuleSpec(fullname, loader, origin=place, is_package=is_package)
                spec.has_location = True
                if is_package:
                    spec.submodule_search_locations = [str(self.plugins.root / inner)]
                return spec
        return None


class _Loader(importlib.abc.InspectLoader):
    """Compiles the source that was read; compiled files of the folder are not looked at."""

    def __init__(self, source: bytes, place: str) -> None:
        self.source, self.place = source, place

    def get_source(self, fullname: str) -> str:
        """The text of the module."""
        return importlib.util.decode_source(self.source)

    def get_code(self, fullname: str) -> CodeType:
        """The module, compiled."""
        return self.source_to_code(self.source, self.place)
