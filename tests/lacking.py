"""An environment of Python with everything that the tests have, except some distributions; for parts that need an extra."""

from __future__ import annotations

import importlib.metadata
import sysconfig
import venv
from collections.abc import Collection
from pathlib import Path, PurePath

START = "import sys; sys.argv[0] = 'drillbook'; from drillbook.cli.program import main; main()"


def without(folder: Path, *distributions: str) -> list[str]:
    """Make the environment in ``folder``, and return the command that starts the program in it.

    Other distributions stay, also those that share a namespace with one that is missing: `opentelemetry-api` comes with the extra
    `lab`, and `opentelemetry-sdk` does not.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    here = Path(sysconfig.get_paths()["purelib"])
    (there,) = folder.glob("lib/python*/site-packages")
    gone = {PurePath(file) for name in distributions for file in importlib.metadata.files(name) or ()}
    _link(here, there, PurePath(), gone)
    return [str(folder / "bin" / "python"), "-c", START]


def _link(here: Path, there: Path, folder: PurePath, gone: Collection[PurePath]) -> None:
    for entry in (here / folder).iterdir():
        inner = folder / entry.name
        if inner in gone or entry.name == "__pycache__" or (there / inner).exists():
            continue
        if entry.is_dir() and any(inner in path.parents for path in gone):
            (there / inner).mkdir()
            _link(here, there, inner, gone)
            if not any((there / inner).iterdir()):
                (there / inner).rmdir()
        else:
            (there / inner).symlink_to(entry)
