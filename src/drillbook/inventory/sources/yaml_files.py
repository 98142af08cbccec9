"""Source that reads the inventory files under the key `include`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from drillbook.inventory.sources.source import Source, exists, names
from drillbook.language.strict import Document

MOST = 100


class YamlFiles(Source):
    """Source that includes inventory files. Values of the including file have precedence over values of the included
    files.
    """

    key = "include"

    def documents(
        self, document: Document, read: Callable[[Path], list[Document]], above: tuple[Path, ...]
    ) -> list[Document]:
        """Read the included files, and the files that they include. Raises InventoryError in three cases: a file cannot be
        read, a file includes itself, or too many files are included.
        """
        folder = Path(document.file).parent
        included: list[Document] = []
        for index, name in enumerate(names(document, self.key)):
            place = (self.key, index) if isinstance(document.value[self.key], list) else (self.key,)
            inner = Path(os.path.normpath(folder / name))
            if exists(inner) and inner.resolve() in above:
                raise document.error(
                    place, f"the file {name} includes itself", hint="remove the `include` from one of the files"
                )
            if not exists(inner) or not inner.is_file():
                raise document.error(
                    place,
                    f"the included file {inner} does not exist",
                    hint="paths are relative to the folder of this inventory file",
                )
            included += read(inner)
        if len(included) > MOST:
            raise document.error((self.key,), f"more than {MOST} files are included; {MOST} is the limit")
        return included
