"""Plugins of a project. They are packages in the project's folder `plugins/`. They are imported only when the user
trusts exactly their present files.

Every file is read only once, and the bytes that were compared with the trusted digest are imported. Therefore compiled
files and later changes on disk have no effect.
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
from drillbook.installation.program_name import program
from drillbook.sdk import discovery, plugin_loading
from drillbook.sdk.declaration import System
from drillbook.trust import trust_record
from drillbook.trust.scan import relative
from drillbook.trust.trust_record import Record
from drillbook.values import canonical, digest

FOLDER = "plugins"
NAMESPACE = "drillbook_plugins"
"""Parent package into which a project's plugins are imported. Because of this parent, no plugin can hide an installed
package.
"""
BESIDE = ("__init__.py", "conftest.py")
"""Files in the folder `plugins/` that are not part of a plugin. They are never imported. Other programs need the first file,
because it makes the folder a package. The second file belongs to pytest.
"""
LARGEST = 16 << 20
"""Largest size in bytes of all plugin files of a project together."""
SCHEME = "drillbook-plugin:"
"""Prefix of the entries in the search path of plugin packages.

An entry with this prefix is not the path of a folder, so Python itself finds no file there. Only the finder of this module
can import from the entry, and this finder uses the file contents that were already read.
"""


@dataclass(frozen=True)
class Plugins:
    """Plugin files of a project with the content that was read. Exactly this content is imported."""

    root: Path
    files: Mapping[str, bytes]
    """Content of each file. The key of each entry is the path of the file relative to the project."""
    links: Sequence[str] = ()
    """Paths of links among the files. Drillbook does not follow these links."""

    @cached_property
    def names(self) -> list[str]:
        """Names of the packages of the plugins."""
        inits = (Path(path).parts for path in self.files)
        return sorted({parts[1] for parts in inits if len(parts) == 3 and parts[2] == "__init__.py"})

    @cached_property
    def misplaced(self) -> dict[str, str]:
        """Modules in `plugins/` that belong to no package, and folders with modules but without `__init__.py`. The key of
        each entry is the present path. The value is the path where Drillbook expects the file.
        """
        paths = [Path(path).parts[1:] for path in self.files if path.endswith(".py")]
        single = {f"{FOLDER}/{name}": f"{FOLDER}/{Path(name).stem}/__init__.py" for name, *rest in paths if not rest}
        folders = {name for name, *rest in paths if rest} - {*self.names}
        ours = {path: place for path, place in single.items() if Path(path).name not in BESIDE}
        return ours | {f"{FOLDER}/{name}": f"{FOLDER}/{name}/__init__.py" for name in sorted(folders)}

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of each file. The key of each entry is the path of the file relative to the project."""
        return {path: digest(content) for path, content in self.files.items()}

    @cached_property
    def digest(self) -> str:
        """Digest over the paths and contents of all files of the plugins."""
        return digest(canonical(self.digests))

    @cached_property
    def doubt(self) -> str:
        """Reason why the plugins are not trusted. The text is empty when the plugins are trusted, or when there are no
        plugins.
        """
        return trust_record.doubt(self.root, FOLDER, self.digest, several=True) if self.names else ""

    def record(self) -> Record | None:
        """Read the record of trust in the plugins. Returns None when there is no record. Raises Unusable when the
        record cannot be used.
        """
        return trust_record.read(self.root, FOLDER)

    @property
    def skipped(self) -> str:
        """Message about links that were not followed. The text is empty when there are no links."""
        return f"a link is not followed: {', '.join(self.links)}" if self.links else ""


def read(root: Path) -> Plugins:
    """Read all files below `plugins/` except compiled files. Links are not followed. Raises PluginError when a file
    cannot be read, or when the files together are too large.
    """
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
    """Read the file at ``path``. Raises PluginError when the file cannot be read, is a link, or has more than ``most``
    bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise PluginError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise PluginError(
            f"the files in {FOLDER}/ have more than {LARGEST >> 20} MiB together; the limit was exceeded by {path}",
            hint="remove files that do not belong to a plugin",
        )
    return content


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files and links below ``folder``, and ``folder`` itself if it is a link.

    Hidden folders and compiled files are left out.
    """
    if folder.is_symlink():
        yield folder
        return
    for inner, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        links = [name for name in folders if Path(inner, name).is_symlink()]
        yield from (Path(inner, name) for name in sorted([*names, *links]) if not name.endswith(".pyc"))


def use(root: Path) -> str:
    """Register the plugins of the project in ``root`` if they are trusted.

    Returns the reason why the plugins are not trusted, or an empty text when they were registered. Raises PluginError
    when a plugin cannot be used, and for a module that belongs to no package.
    """
    plugins = read(root)
    for path, place in plugins.misplaced.items():
        discovery.unused(
            PluginError(
                f"the plugin of {path} cannot be loaded: a project's plugin is a package, and {place} does not exist",
                hint=f"write {place}, which declares SYSTEM, or move {path} out of {FOLDER}/",
            )
        )
    doubt = plugins.doubt
    why = (
        f"the plugins in {FOLDER}/ ({', '.join(plugins.names)}) are not loaded: {doubt}; see `{program()} trust`"
        if doubt
        else ""
    )
    discovery.left_out("; ".join(text for text in (why, plugins.skipped) if text))
    if plugins.names and not doubt:
        _import(plugins)
    return doubt


def _import(plugins: Plugins) -> None:
    space = sys.modules.get(NAMESPACE)
    if space is not None:
        if vars(space).get("__plugins__") != plugins.digest:
            raise PluginError(f"plugins other than those of {plugins.root} are already loaded", hint="restart the program")
        return
    space = ModuleType(NAMESPACE, "Plugins of the project.")
    space.__path__ = [SCHEME]
    vars(space)["__plugins__"] = plugins.digest
    sys.path_hooks.insert(0, partial(_finder, plugins))
    sys.modules[NAMESPACE] = space
    declared = [system for name in plugins.names if (system := _declared(plugins, name))]
    known = {system.name for system in (*discovery.systems(), *declared)}
    for system in declared:
        try:
            plugin_loading.check_needs(system, known)
            discovery.add(system)
        except PluginError as error:
            discovery.unused(error)


def _declared(plugins: Plugins, name: str) -> System | None:
    """Import the package ``name`` of the plugins, and return the system that it declares.

    Raises PluginError when this plugin is unusable. But if ``discovery.spare`` was called, unusable plugins are skipped, and
    the result is None.
    """
    package = f"{NAMESPACE}.{name}"
    try:
        system = plugin_loading.declared(partial(importlib.import_module, package), f"{FOLDER}/{name}", plugins.digest)
        if system.package != package:
            raise PluginError(
                f"the plugin of {system.origin} declares a SYSTEM of another package, {system.package!r}",
                hint="write System(__name__, ...) in its __init__.py",
            )
    except PluginError as error:
        discovery.unused(error)
        return None
    return system


def _finder(plugins: Plugins, path: str) -> _Finder:
    """Return the finder for an entry of Python's search path.

    ``path``: the entry. Raises ImportError when the entry belongs to no plugin.
    """
    if not path.startswith(SCHEME):
        raise ImportError(path)
    return _Finder(plugins, path.removeprefix(SCHEME))


class _Finder(importlib.abc.PathEntryFinder):
    """Import finder for the modules of one plugin package. It finds only files that were already read."""

    def __init__(self, plugins: Plugins, inner: str) -> None:
        self.plugins, self.folder = plugins, f"{FOLDER}/{inner}".rstrip("/")

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        """Return the import spec of the module ``fullname``. Returns None when the plugin contains no such module."""
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
        """Yield two items for each module in this package: its name, and True if the module is itself a package.

        Python's module pkgutil calls this method.
        """
        for file in self.plugins.files:
            name, _, rest = file.removeprefix(f"{self.folder}/").partition("/")
            if not file.startswith(f"{self.folder}/") or name == "__init__.py":
                continue
            if rest == "__init__.py":
                yield prefix + name, True
            elif not rest and name.endswith(".py"):
                yield prefix + name.removesuffix(".py"), False


class _Loader(importlib.abc.InspectLoader):
    """Import loader that compiles the source that was already read. It ignores compiled files on disk."""

    def __init__(self, plugins: Plugins, file: str) -> None:
        self.plugins, self.file = plugins, file

    @property
    def place(self) -> str:
        """Return the path of the module's file."""
        return str(self.plugins.root / self.file)

    def get_source(self, fullname: str) -> str:
        """Return the source text of the plugin module ``fullname``, as it was when its digest was computed."""
        return importlib.util.decode_source(self.plugins.files[self.file])

    def get_code(self, fullname: str) -> CodeType:
        """Compile the plugin module ``fullname`` from the source that was read for its digest."""
        return self.source_to_code(self.plugins.files[self.file], self.place)

    def get_data(self, path: str) -> bytes:
        """Return the content of a file in the package. This is the content that was read for the digest.

        Python's module pkgutil calls this method. Raises OSError when the package contains no such file.
        """
        try:
            return self.plugins.files[relative(Path(path), self.plugins.root)]
        except KeyError:
            raise FileNotFoundError(path) from None
