"""Encryption of backups with age: the rule of a store, the keys on the controller, and small files that the controller
reads.

pyrage, from the extra `age`, is imported only where it is used. Files on hosts are encrypted there; see ``host_encryption``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from drillbook.errors import NotReady, SecretError, StepFailed
from drillbook.findings import finding
from drillbook.installation import extras
from drillbook.values import Secret

SUFFIX = ".age"
"""Last part of the name of an encrypted file."""
Recipient = Annotated[str, Field(pattern=r"^age1[02-9ac-hj-np-z]{58}$")]
"""A public key of age (X25519)."""
AgeIdentity = Annotated[Secret, AfterValidator(Secret.without_comments)]
"""Secret keys of age: the content of a file made by age-keygen."""
_KEY = re.compile(r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}")


class Encryption(BaseModel):
    """Rule for the backups of a store, also recorded in a manifest: the recipients, each of whom can decrypt alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    age: Annotated[
        tuple[Recipient, ...], Field(min_length=1, description="Public keys of age, `age1...`, as age-keygen prints them.")
    ]


def need_library(rule: Encryption | None) -> None:
    """Check that the controller can use age, and that the recipients of ``rule`` are valid keys. Raises NotReady."""
    try:
        from pyrage import RecipientError, x25519  # noqa: PLC0415  an optional dependency
    except ImportError:
        raise NotReady(
            "this machine cannot decrypt backups of age: the package pyrage is missing", hint=extras.adding("age")
        ) from None
    for recipient in rule.age if rule else ():
        try:
            x25519.Recipient.from_str(recipient)
        except RecipientError as error:
            raise NotReady(
                f"{recipient} is no recipient of age: {error}", hint="copy the line `public key` of age-keygen again"
            ) from error


def key_lost(title: str, wanted: str, measured: str) -> StepFailed:
    """Return the error about an encrypted backup that none of the known keys can decrypt."""
    return StepFailed(
        f"{title} cannot be decrypted: {measured}",
        findings=[finding("backup-key-lost", title=title, wanted=wanted, measured=measured)],
    )


def secret_keys(identity: Secret | None, title: str) -> tuple[str, ...]:
    """Return the secret keys in ``identity``. Raises StepFailed with ``backup-key-lost`` for the backup ``title``."""
    wanted = "an identity that opens it"
    if identity is None:
        raise key_lost(title, wanted, "the backup is encrypted, and the inventory names no `identity`")
    try:
        found = tuple(_KEY.findall(identity.reveal()))
    except SecretError as error:
        raise key_lost(title, wanted, error.message) from error
    if not found:
        raise key_lost(title, wanted, f"{identity.of} holds no secret key of age")
    return found


def fitting_keys(identity: Secret | None, rule: Encryption, title: str) -> tuple[str, ...]:
    """Return the secret keys in ``identity``; one of them must belong to a recipient of ``rule``.

    Raises StepFailed with ``backup-key-lost`` for the backup ``title``; NotReady without pyrage.
    """
    keys = secret_keys(identity, title)
    need_library(None)
    from pyrage import IdentityError, x25519  # noqa: PLC0415  an optional dependency

    wanted = f"the identity of {' or '.join(rule.age)}"
    try:
        public = [str(x25519.Identity.from_str(key).to_public()) for key in keys]
    except IdentityError as error:
        raise key_lost(title, wanted, f"the identity is no key: {error}") from error
    if not set(public) & set(rule.age):
        raise key_lost(title, wanted, f"the identity of {', '.join(public)}")
    return keys


def decrypted(data: bytes, keys: Sequence[str], title: str) -> bytes:
    """Decrypt a small file that the controller has read. Raises StepFailed with a finding for ``title``."""
    from pyrage import DecryptError, decrypt, x25519  # noqa: PLC0415  an optional dependency

    try:
        return bytes(decrypt(data, [x25519.Identity.from_str(key) for key in keys]))
    except DecryptError as error:
        raise StepFailed(
            f"{title} cannot be decrypted: {error}",
            findings=[finding("backup-damaged", title=title, wanted="a whole file of age", measured=str(error))],
        ) from error
