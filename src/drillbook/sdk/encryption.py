"""Encryption of backups with the program `age`: the rule that a store has for its backups, and the keys on the controller.

The controller itself only decrypts small files. Large files are encrypted and decrypted on hosts; see ``host_encryption``.
The package pyrage of the extra `age` is imported only where it is used.
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
"""A public key for the program ``age`` (X25519)."""
AgeIdentity = Annotated[Secret, AfterValidator(Secret.without_comments)]
"""Secret keys for the program ``age``: the content of a file made by age-keygen."""
_KEY = re.compile(r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}")


class Encryption(BaseModel):
    """Encryption rule for the backups of a store.

    Each recipient can decrypt the backups without the other recipients. The manifest of a backup also contains the rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    age: Annotated[
        tuple[Recipient, ...], Field(min_length=1, description="Public keys of age, `age1...`, as printed by age-keygen.")
    ]


def need_library(rule: Encryption | None) -> None:
    """Check that the controller can use age, and that the recipients in ``rule`` are valid keys.

    Raises NotReady when the package pyrage is missing, or when a recipient is invalid.
    """
    try:
        from pyrage import RecipientError, x25519  # noqa: PLC0415  an extra
    except ImportError:
        raise NotReady(
            "this machine cannot decrypt backups made with age: the package pyrage is missing", hint=extras.adding("age")
        ) from None
    for recipient in rule.age if rule else ():
        try:
            x25519.Recipient.from_str(recipient)
        except RecipientError as error:
            raise NotReady(
                f"{recipient} is not a valid recipient of age: {error}",
                hint="copy the line `public key` of age-keygen again",
            ) from error


def key_lost(title: str, wanted: str, measured: str) -> StepFailed:
    """Return the error for an encrypted backup that no known key can decrypt."""
    return StepFailed(
        f"{title} cannot be decrypted: {measured}",
        findings=[finding("backup-key-lost", title=title, wanted=wanted, measured=measured)],
    )


def secret_keys(identity: Secret | None, title: str) -> tuple[str, ...]:
    """Return the secret keys in ``identity``. ``title``: name of the backup in messages.

    Raises StepFailed with the finding ``backup-key-lost`` when ``identity`` contains no secret key.
    """
    wanted = "an identity that decrypts it"
    if identity is None:
        raise key_lost(title, wanted, "the backup is encrypted, but the inventory sets no `identity`")
    try:
        keys = tuple(_KEY.findall(identity.reveal()))
    except SecretError as error:
        raise key_lost(title, wanted, error.message) from error
    if not keys:
        raise key_lost(title, wanted, f"{identity.of} contains no secret key of age")
    return keys


def fitting_keys(identity: Secret | None, rule: Encryption, title: str) -> tuple[str, ...]:
    """Return the secret keys in ``identity``. Check that one of these keys belongs to a recipient of ``rule``.

    ``title``: name of the backup in messages. Raises StepFailed with the finding ``backup-key-lost`` when no key fits, and
    NotReady when pyrage is missing.
    """
    keys = secret_keys(identity, title)
    need_library(None)
    from pyrage import IdentityError, x25519  # noqa: PLC0415  an extra

    wanted = f"the private key of {' or '.join(rule.age)}"
    try:
        public = [str(x25519.Identity.from_str(key).to_public()) for key in keys]
    except IdentityError as error:
        raise key_lost(title, wanted, f"the identity is not a valid key: {error}") from error
    if not set(public) & set(rule.age):
        raise key_lost(title, wanted, f"the private key of {', '.join(public)}")
    return keys


def decrypted(data: bytes, keys: Sequence[str], title: str) -> bytes:
    """Decrypt a small file that the controller has read. ``title``: name of the file in messages.

    Raises StepFailed with a finding when the file cannot be decrypted.
    """
    from pyrage import DecryptError, decrypt, x25519  # noqa: PLC0415  an extra

    try:
        return bytes(decrypt(data, [x25519.Identity.from_str(key) for key in keys]))
    except DecryptError as error:
        raise StepFailed(
            f"{title} cannot be decrypted: {error}",
            findings=[
                finding("backup-damaged", title=title, wanted="a complete file encrypted with age", measured=str(error))
            ],
        ) from error
