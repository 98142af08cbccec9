"""Values that drills and inventories write: durations, sizes, secrets, digests; and canonical JSON."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import rfc8785
from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, PrivateAttr
from pydantic_core import CoreSchema, core_schema

from drillbook.errors import SecretError


class _Unit(float):
    """A number that is written with its unit, such as ``5m`` or ``10MiB``, and never without."""

    UNITS: ClassVar[dict[str, float]] = {}
    EXAMPLE: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The value of ``text``; raises ValueError with what was expected."""
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]+)", text.strip())
        if match is None or match[2] not in cls.UNITS:
            raise ValueError(f"{text!r} is not a {cls.__name__.lower()}; write a number and a unit, such as {cls.EXAMPLE}")
        return cls(float(match[1]) * cls.UNITS[match[2]])

    def __str__(self) -> str:
        for unit, factor in sorted(self.UNITS.items(), key=lambda item: -item[1]):
            if self >= factor and float(self / factor).is_integer():
                return f"{int(self / factor)}{unit}"
        unit, factor = min(self.UNITS.items(), key=lambda item: item[1])
        return f"{self / factor:g}{unit}"

    @classmethod
    def _validate(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError(f"{value!r} has no unit; write it as {cls.EXAMPLE}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        units = "|".join(cls.UNITS)
        return {"type": "string", "pattern": rf"^\d+(\.\d+)?({units})$", "examples": [cls.EXAMPLE]}


class Duration(_Unit):
    """A length of time in seconds; written ``100ms 10s 5m 2h 1d``."""

    UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    EXAMPLE = "10s"


class Size(_Unit):
    """A number of bytes; written ``64KiB 10MiB 2GiB``, or decimal ``kB MB GB``."""

    UNITS = {"B": 1, "kB": 1e3, "KiB": 2**10, "MB": 1e6, "MiB": 2**20, "GB": 1e9, "GiB": 2**30, "TB": 1e12, "TiB": 2**40}
    EXAMPLE = "10MiB"


PATIENCE_S = 30.0
"""Seconds that a command may take to give a secret."""
LARGEST = 1 << 20
"""Bytes of a file that may be a secret."""


class Secret(BaseModel):
    """A value that is never written down: the file names its source, and the source is read where it is used.

    It prints and serialises as its source, never as its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["env", "file", "command"]
    name: str | tuple[str, ...]
    _value: str | None = PrivateAttr(default=None)
    _hide: Callable[[str], None] | None = PrivateAttr(default=None)
    _where: str = PrivateAttr(default="")
    _barred: str = PrivateAttr(default="")

    def reveal(self, within_s: float = PATIENCE_S) -> str:
        """The value; read once. Raises SecretError when it cannot be read, a command's within ``within_s`` seconds."""
        if self._barred:
            raise SecretError(f"the secret {self.of} was left out: {self._barred}", hint="see what it is: invoke trust")
        if self._value is None:
            value = self._read(within_s)
            if self._hide:
                self._hide(value)
            self._value = value
        return self._value

    def stands(self, where: str) -> None:
        """Take the file and line that name it."""
        self._where = where

    @property
    def where(self) -> str:
        """File and line that name it, or nothing."""
        return self._where

    def bar(self, why: str) -> None:
        """Read it no more: from now on ``reveal`` raises."""
        self._barred = why

    def hidden_by(self, hide: Callable[[str], None]) -> None:
        """Have ``hide`` learn the value before anybody gets it, in case it is read after all."""
        self._hide = hide

    def _read(self, within_s: float) -> str:
        if self.source == "env":
            if not isinstance(self.name, str) or self.name not in os.environ:
                raise SecretError(f"the environment variable {self.name} is not set", hint=f"export {self.name}=...")
            return os.environ[self.name]
        try:
            if self.source == "file":
                return self._of_file()
            argv = [self.name] if isinstance(self.name, str) else list(self.name)
            done = subprocess.run(
                argv, capture_output=True, text=True, check=True, timeout=within_s, stdin=subprocess.DEVNULL
            )
            return done.stdout.rstrip("\r\n")
        except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            if isinstance(error, subprocess.TimeoutExpired):
                reason = f"the command did not end within {within_s:.3g} s"
            raise SecretError(f"the secret {self.of} cannot be read: {reason}") from None

    def _of_file(self) -> str:
        """Content of its file, which may be a pipe. Raises SecretError for one that is no secret by its size."""
        with Path(str(self.name)).expanduser().open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise SecretError(f"the secret {self.of} cannot be read: the file has more than {LARGEST} bytes")
        return data.decode("utf-8").rstrip("\r\n")

    @property
    def at_hand(self) -> bool:
        """Can it be read without a program that runs, and without waiting for somebody who writes into a pipe?"""
        if self.source == "file":
            return os.path.isfile(os.path.expanduser(str(self.name)))  # noqa: PTH111, PTH113  Path raises for ~nobody
        return self.source == "env"

    @property
    def of(self) -> str:
        """Its source, as the inventory names it."""
        return f"!{self.source} {self.name if isinstance(self.name, str) else list(self.name)}"

    def __eq__(self, other: object) -> bool:
        """Equal secrets have one source, wherever it is named and whether or not it was read."""
        return isinstance(other, Secret) and (self.source, self.name) == (other.source, other.name)

    def __hash__(self) -> int:
        return hash((self.source, self.name))

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"Secret(!{self.source} {self.name})"


SECRET_MARK = "!secret "  # noqa: S105  what stands before the name of one


class SecretName:
    """A secret as an expression sees it: its place in the inventory, to be handed over, and no part of any text."""

    def __init__(self, place: str) -> None:
        """``place`` is its keys, such as ``services.cache.password``."""
        self.place = place

    def __str__(self) -> str:
        """Refuse to be text: it would be ``***``, and a command would take that for the secret."""
        raise TypeError(f"{self.place} is a secret, which is no part of a text")

    def __repr__(self) -> str:
        return f"<the secret {self.place}>"


def _handed(value: object) -> object:
    return f"{SECRET_MARK}{value.place}" if isinstance(value, SecretName) else value


Handed = Annotated[str, BeforeValidator(_handed)]
"""Text, or a secret of the inventory as ``!secret services.cache.password``: read where it is used, and nowhere written."""


def canonical(value: object) -> bytes:
    """Canonical JSON of ``value`` (RFC 8785), so that equal values have equal digests."""
    return rfc8785.dumps(value)  # type: ignore[arg-type]


def digest(data: bytes) -> str:
    """``sha256:`` and the hex digest of ``data``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
