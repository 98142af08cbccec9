"""Account that runs commands and accesses files on a host: the key `become` of a host, a service or a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from drillbook.values import Secret

ROOT = "root"
USER = r"^([A-Za-z_][A-Za-z0-9_.-]*\$?)?$"
"""Pattern of valid account names, as for useradd(8). The empty name stands for the SSH user."""
_SHORT: list[dict[str, Any]] = [{"type": "boolean"}, {"type": "string", "pattern": USER}]


def _account(value: object) -> object:
    """Replace `true` by the name root, and `false` by the empty name, which stands for the SSH user."""
    return value if not isinstance(value, bool) else ROOT if value else ""


Account = Annotated[
    str, BeforeValidator(_account), Field(pattern=USER), WithJsonSchema({"anyOf": _SHORT}, mode="validation")
]
"""Name of an account. `true` means root, and `false` means the SSH user."""


class Become(BaseModel):
    """Account that runs commands and accesses files by sudo. It is written as `true`, `false`, a name, or a mapping."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: Account = Field(default=ROOT, description="Account to use. Default: root. `false` means the SSH user itself.")
    password: Secret | None = Field(
        default=None,
        description=(
            "Password that sudo asks for, as a secret. It is usually the password of the SSH user. It is passed to "
            "sudo on standard input. If it is not set, sudo must not ask for a password (`NOPASSWD`)."
        ),
    )

    def __str__(self) -> str:
        """Return the name of the account."""
        return self.user or "the SSH user"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """Accept `true`, `false` or the name of an account instead of a mapping."""
        return {"user": value} if isinstance(value, bool | str) else value

    @model_serializer(mode="wrap")
    def _written(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out the password if it is not set."""
        return {key: value for key, value in written(self).items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Add the short forms to the JSON schema."""
        return {"anyOf": [*_SHORT, handler(core)]}


def nearest(own: str | None, levels: Iterable[Become | None]) -> Become | None:
    """Return the account of a step, or None when the step runs as the SSH user.

    ``own``: account in the step's own setting `become`, or None. ``levels``: settings `become` of the step's service and host,
    in this order. If ``own`` is None, the first of these settings that exists names the account. The password comes from the
    first of them that has a password.
    """
    known = [level for level in levels if level is not None]
    account = own if own is not None else next((level.user for level in known), "")
    if not account:
        return None
    return Become(user=account, password=next((level.password for level in known if level.password), None))
