"""Detects how this program was installed, and makes the command that adds an optional extra to this installation.

Sources: PEP 610 (``direct_url.json``), and the files that pipx and uv leave in the environments that they create.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.errors import MissingExtra

NAME = "drillbook"
MODULES = {
    "lab": ("asyncssh", "supervisor", "fastapi", "uvicorn", "psycopg_pool"),
    "qdrant": ("qdrant_client",),
    "age": ("pyrage",),
    "notify": ("apprise",),
    "timestamp": ("rfc3161_client",),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "metrics": ("prometheus_client",),
    "mariadb": ("pymysql",),
    "fleet": ("distributed",),
}
"""Python modules of each extra. If one of them is missing, the part of the program that needs the extra cannot be imported.
Several extras may install modules into the same namespace package. The package then exists if one of these extras is installed.
For such an extra, the list therefore names modules inside the package."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Origin of this installation. ``by``: pip, pipx or uv. ``source``: a folder or a URL. It is empty if the program
    was installed from a package index.
    """

    by: str
    source: str = ""
    editable: bool = False

    def __str__(self) -> str:
        place = f" from {self.source}" if self.source else ""
        return f"Drillbook was installed by {self.by}{' as editable' if self.editable else ''}{place}"

    def adding(self, extra: str) -> str:
        """Return the shell command that adds ``extra`` to this installation."""
        wanted = f"{NAME}[{extra}]"
        if self.editable:
            parts = ["-e", f"{self.source}[{extra}]"]
        elif self.source:
            parts = [f"{wanted} @ {self.source}"]
        else:
            parts = [f"{wanted}=={_version()}"]
        return shlex.join([*_BEFORE[self.by](), *parts])


_BEFORE = {
    "pipx": lambda: ["pipx", "install", "--force"],
    "uv tool": lambda: ["uv", "tool", "install", "--force"],
    "uv": lambda: ["uv", "pip", "install", "--python", sys.executable],
    "pip": lambda: [sys.executable, "-m", "pip", "install"],
}


def _version() -> str:
    return importlib.metadata.version(NAME)


def current() -> Installation:
    """Return the origin of this installation. If the package has no metadata, assume that pip installed it from a
    package index.
    """
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        by = "pipx"
    elif (prefix / "uv-receipt.toml").is_file():
        by = "uv tool"
    else:
        by = "pip" if importlib.util.find_spec("pip") else "uv"
    return Installation(by, *_source(_direct_url()))


def _direct_url() -> dict[str, Any]:
    try:
        direct_url = json.loads(importlib.metadata.distribution(NAME).read_text("direct_url.json") or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return {}
    return direct_url if isinstance(direct_url, dict) else {}


def _source(direct_url: dict[str, Any]) -> tuple[str, bool]:
    """Return the source from which pip can install the program again, and True when the installation is editable. Both
    values are read from the content of ``direct_url.json``.
    """
    url = str(direct_url.get("url", ""))
    if direct_url.get("dir_info", {}).get("editable"):
        return url.removeprefix("file://"), True
    vcs = direct_url.get("vcs_info")
    return (f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url), False


def extra_of(module: str) -> str:
    """Return the name of the extra that contains ``module``. The result is empty if no extra contains it."""
    package = module.partition(".")[0]
    return next((extra for extra, modules in MODULES.items() if package in {name.partition(".")[0] for name in modules}), "")


def adding(extra: str) -> str:
    """Return a hint with the command that adds ``extra`` to this installation."""
    installation = current()
    return f"{installation}; to add it: {installation.adding(extra)}"


def missing(extra: str, module: str, what: str = "this") -> MissingExtra:
    """Return the error about a missing extra. ``what``: part of the program that needs the extra. ``module``: Python
    module of the extra that is not installed.
    """
    return MissingExtra(f"{what} needs the extra `{extra}`: the package {module} is not installed", hint=adding(extra))


def require(extra: str, what: str) -> None:
    """Check that the modules of ``extra`` are installed. Raises MissingExtra when a module is missing. ``what``: part
    of the program that needs the extra, for the message.
    """
    if error := lacking(extra, what):
        raise error


def lacking(extra: str, what: str) -> MissingExtra | None:
    """Return the error about the first module of ``extra`` that is not installed. The result is None if the extra is
    complete. ``what``: part of the program that needs the extra, for the message.
    """
    return next((missing(extra, module, what) for module in MODULES[extra] if not _is_installed(module)), None)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False
