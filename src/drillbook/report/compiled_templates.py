"""Cache of compiled templates, in the folder where Python keeps the compiled form of modules.

A template takes longer to compile than to render. As with modules, nothing is written when the user forbids compiled files
(`python -B`, PYTHONDONTWRITEBYTECODE), or when the folder cannot be written.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Iterable
from importlib.util import cache_from_source
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class CompiledTemplates(BytecodeCache):
    """Cache of compiled templates; a template is compiled again when its text or one of the files ``depends`` has changed.

    The compiled form also depends on the options and filters of the environment, so ``depends`` are the modules with these.
    """

    def __init__(self, depends: Iterable[str]) -> None:
        """Read the modules ``depends``, paths of Python files."""
        known = hashlib.sha256()
        for path in depends:
            known.update(Path(path).read_bytes())
        self._depends = known.hexdigest()

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Return the path of the template's file; empty when it lies in no folder, such as in an archive."""
        return filename or ""

    def get_source_checksum(self, source: str) -> str:
        """Return the digest of the template's text and of the modules on which its compiled form depends."""
        return hashlib.sha256(f"{self._depends}\n{source}".encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load the compiled form of the template, if there is a current one."""
        try:
            with _place(bucket).open("rb") as file:
                bucket.load_bytecode(file)
        except Exception:  # noqa: BLE001  a cache that cannot be read, whatever is wrong with it, is the same as none
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Store the compiled form of the template, unless that is impossible or not permitted."""
        if sys.dont_write_bytecode or not bucket.key:
            return
        with contextlib.suppress(OSError, NotImplementedError):  # without a cache tag, Python keeps no compiled files
            place = _place(bucket)
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=place.parent, prefix=place.name, delete=False) as file:
                bucket.write_bytecode(file)
            try:
                Path(file.name).chmod(0o644)
                Path(file.name).replace(place)
            except OSError:
                Path(file.name).unlink(missing_ok=True)


def _place(bucket: Bucket) -> Path:
    """Path of the compiled template. Raises ValueError for a template that lies in no folder."""
    if not bucket.key:
        raise ValueError("the template lies in no folder")
    return Path(cache_from_source(bucket.key)).with_suffix(".template")
