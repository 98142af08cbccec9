"""Values in drills and inventories: durations, sizes, secrets and digests. The canonical form of JSON is here, too."""

from __future__ import annotations

import hashlib
import json
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
    """Base of numbers that must be written with a unit, such as ``5m`` or ``10MiB``."""

    UNITS: ClassVar[dict[str, float]] = {}
    EXAMPLE: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``text``. Raises ValueError when the form is wrong. Its message describes the expected form."""
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
        unit = cls.EXAMPLE.lstrip("0123456789")
        counted = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        example = f"{value}{unit}" if counted else cls.EXAMPLE
        raise ValueError(f"{value!r} has no unit; write a number and a unit, such as {example}")

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
    """A length of time in seconds, written as ``100ms 10s 5m 2h 1d``."""

    UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    EXAMPLE = "10s"


class Size(_Unit):
    """A number of bytes, written for example as ``64KiB``, ``10MiB`` or ``2GiB``. Decimal units such as ``kB`` are also
    allowed.
    """

    UNITS = {"B": 1, "kB": 1e3, "KiB": 2**10, "MB": 1e6, "MiB": 2**20, "GB": 1e9, "GiB": 2**30, "TB": 1e12, "TiB": 2**40}
    EXAMPLE = "10MiB"


PATIENCE_S = 30.0
"""Longest time, in seconds, that a command may take to print a secret."""
LARGEST = 1 << 20
"""Largest size, in bytes, of a file that contains a secret."""


class Secret(BaseModel):
    """A secret. Files contain only the source of the secret.

    The value is read from the source when the secret is first used. A secret is printed and serialised as its source,
    never as its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["env", "file", "command"]
    name: str | tuple[str, ...]
    _value: str | None = PrivateAttr(default=None)
    _hide: Callable[[str], None] | None = PrivateAttr(default=None)
    _where: str = PrivateAttr(default="")
    _barred: str = PrivateAttr(default="")
    _comments: bool = PrivateAttr(default=True)

    def reveal(self, within_s: float = PATIENCE_S) -> str:
        """Return the value. It is read only once. Raises SecretError when it cannot be read.

        ``within_s``: seconds that a command may take to print the value.
        """
        if self._barred:
            raise SecretError(
                f"the secret {self.of} was not read: {self._barred}", hint="to review the project, run `invoke trust`"
            )
        if self._value is None:
            value = self._read(within_s)
            if not self._comments:
                value = "\n".join(line for line in value.splitlines() if not line.startswith("#"))
            if self._hide:
                self._hide(value)
            self._value = value
        return self._value

    def without_comments(self) -> Self:
        """Leave lines that begin with ``#`` out of the value. In a key file of age, such a line contains the public key."""
        self._comments = False
        return self

    def stands(self, where: str) -> None:
        """Store ``where``: the file and the line with the source of the secret."""
        self._where = where

    @property
    def where(self) -> str:
        """File and line with the source of the secret. The text is empty when they are unknown."""
        return self._where

    def bar(self, why: str) -> None:
        """Forbid reading the secret. From now on, ``reveal`` raises SecretError with the reason ``why``."""
        self._barred = why

    def hidden_by(self, hide: Callable[[str], None]) -> None:
        """Register the function ``hide``. The first call of ``reveal`` passes the value of the secret to ``hide``, and then
        returns it."""
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
                reason = f"the command did not finish within {within_s:.3g} s"
            raise SecretError(f"the secret {self.of} cannot be read: {reason}") from None

    def _of_file(self) -> str:
        """Return the content of the secret's file. The file may be a pipe. Raises SecretError when the file is too large."""
        with Path(str(self.name)).expanduser().open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise SecretError(f"the secret {self.of} cannot be read: the file has more than {LARGEST} bytes")
        return data.decode("utf-8").rstrip("\r\n")

    @property
    def at_hand(self) -> bool:
        """Return True when the secret can be read at once.

        This is the case for a regular file, for an environment variable, and for a secret that was read before. The reader of
        a command or a pipe may have to wait.
        """
        if self._value is not None:
            return True
        if self.source == "file":
            return os.path.isfile(os.path.expanduser(str(self.name)))  # noqa: PTH111, PTH113  Path raises for ~nobody
        return self.source == "env"

    @property
    def of(self) -> str:
        """Source of the secret, as written in the inventory."""
        return f"!{self.source} {self.name if isinstance(self.name, str) else list(self.name)}"

    def __eq__(self, other: object) -> bool:
        """Return True when both secrets have the same source.

        It does not matter whether the secrets were read, or in which files their sources are written.
        """
        return isinstance(other, Secret) and (self.source, self.name) == (other.source, other.name)

    def __hash__(self) -> int:
        return hash((self.source, self.name))

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"Secret(!{self.source} {self.name})"


SECRET_MARK = "!secret "  # noqa: S105  the text before a secret's name


class SecretName:
    """Placeholder for a secret in expressions.

    It holds the path of the secret in the inventory, and cannot be converted to text.
    """

    def __init__(self, place: str) -> None:
        """Store ``place``, the path of the secret in the inventory, such as ``services.cache.password``."""
        self.place = place

    def __str__(self) -> str:
        """Always raise TypeError, because a secret cannot be part of a text: the text would contain ``***`` instead of the secret."""
        raise TypeError(f"{self.place} is a secret; a secret must be the whole value, not part of a text")

    def __repr__(self) -> str:
        return f"<the secret {self.place}>"


def _handed(value: object) -> object:
    return f"{SECRET_MARK}{value.place}" if isinstance(value, SecretName) else value


Handed = Annotated[str, BeforeValidator(_handed)]
"""Text, or a reference to a secret such as ``!secret services.cache.password``.

The secret is read when it is used, and is never recorded.
"""


def canonical(value: object) -> bytes:
    """Return the canonical JSON of ``value`` (RFC 8785). Equal values have equal canonical JSON, and so equal digests."""
    fast = fast_canonical(value) if _text_keys(value) else None
    return rfc8785.dumps(value) if fast is None else fast  # type: ignore[arg-type]


def canonical_again(value: object) -> bytes:
    """Return the canonical JSON of ``value``. This value must have been parsed from JSON."""
    fast = fast_canonical(value)
    return rfc8785.dumps(value) if fast is None else fast  # type: ignore[arg-type]


_ODD_NUMBER = re.compile(r"[:,\[]-?(?:(?<=-)0|\d+\.0|\d+(?:\.\d+)?e[-+]?\d+|\d{16,})(?=[,}\]])")
"""Pattern of numbers that the standard library may write differently from RFC 8785, such as -0, 1.0, and 16 or more digits.

The regular expression begins with a set of characters, so that the search skips all other characters quickly.
"""
_NUMBER_ALONE = tuple("-0123456789")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
"""Pattern of characters that may change the order of keys.

RFC 8785 sorts keys by UTF-16 units, and the standard library sorts them by code points.
"""
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def fast_canonical(value: object) -> bytes | None:
    """Return the canonical JSON made by the standard library, or None when its bytes may differ from those of RFC 8785.

    The result may be None although the bytes would be the same, for example when a text in ``value`` looks like a number.
    All keys must be text.
    """
    try:
        text = _ENCODER.encode(value)
        if text.startswith(_NUMBER_ALONE) or _ODD_NUMBER.search(text) or not (text.isascii() or not _ASTRAL.search(text)):
            return None
        return text.encode()
    except (TypeError, ValueError, RecursionError):
        return None


def _text_keys(value: object) -> bool:
    """Return True when all keys in ``value`` are text.

    The standard library converts other keys to text, but RFC 8785 allows only text.
    """
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_text_keys, value.values()))
    return all(map(_text_keys, value)) if isinstance(value, list | tuple) else True


def digest(data: bytes) -> str:
    """Return the digest of ``data``: ``sha256:`` and the SHA-256 in hexadecimal."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
