"""Cache of compiled templates, in the folder where Python keeps the compiled form of modules.

A template takes longer to compile than to render. As with modules, nothing is written when the user forbids compiled files
(`python -B`, PYTHONDONTWRITEBYTECODE), or when the folder cannot be written.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterable
from importlib.util import cache_from_source
from pathlib import Path

from jinja2 import FileSystemBytecodeCache
from jinja2.bccache import Bucket


class CompiledTemplates(FileSystemBytecodeCache):
    """Cache of compiled templates. A template is compiled again when its text or one of the files ``depends`` has changed.

    ``depends``: modules that define the options and filters of the Jinja environment, because the compiled form of each
    template depends on these, too.
    """

    def __init__(self, depends: Iterable[str]) -> None:
        """Read the modules in ``depends``. They are given as paths of Python files. The cache is next to the compiled
        form of the first module.
        """
        paths = [Path(path) for path in depends]
        super().__init__(str(Path(cache_from_source(str(paths[0]))).parent))
        self._depends = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()

    def get_source_checksum(self, source: str) -> str:
        """Return the digest of the template's text and of the modules on which its compiled form depends."""
        return hashlib.sha256(f"{self._depends}\n{source}".encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load the compiled form of the template, if there is a current one."""
        try:
            super().load_bytecode(bucket)
        except Exception:  # noqa: BLE001  a cache that cannot be read, whatever is wrong with it, is the same as none
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Store the compiled form of the template. Do nothing if the user forbids compiled files, or if the folder cannot be
        written."""
        if sys.dont_write_bytecode:
            return
        with contextlib.suppress(OSError):
            Path(self.directory).mkdir(parents=True, exist_ok=True)
            super().dump_bytecode(bucket)


def cache(depends: Iterable[str]) -> CompiledTemplates | None:
    """Return the cache of templates that depend on the modules ``depends``.

    The result is None if this Python has no place for compiled files (``sys.implementation.cache_tag`` is None), or if
    a module cannot be read as a file, for example because it is in an archive.
    """
    try:
        return CompiledTemplates(depends)
    except (OSError, NotImplementedError):
        return None
