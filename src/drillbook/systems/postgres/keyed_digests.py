"""Makes keyed digests of passwords and other secrets. The digests can be compared, but do not reveal the secrets.

The key is a random salt, and each backup has its own salt. Equal passwords in two backups therefore have different
digests.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from drillbook.systems.postgres import masking

KEY = "sealed"


@dataclass(frozen=True, slots=True)
class Sealing:
    """Maker of digests of secrets for one backup. ``salt``: salt of the backup in hexadecimal digits."""

    salt: str

    @classmethod
    def fresh(cls) -> Sealing:
        """Return an instance with a new random salt."""
        return cls(secrets.token_hex(16))

    def seal(self, secret: str | None) -> dict[str, str] | None:
        """Return the digest of ``secret``, or None when there is no secret."""
        if secret is None:
            return None
        return {
            KEY: hmac.new(bytes.fromhex(self.salt), secret.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
        }

    def setting(self, name: str, value: str) -> Any:
        """Return the value of a setting. If the name of the setting shows that the value is a secret or a command,
        return the digest of the value instead.
        """
        secretive = masking.SECRET.search(name) and not masking.PLAIN.fullmatch(name)
        return self.seal(value) if secretive or name.endswith(("_command", "conninfo")) else value

    def settings(self, given: list[str] | None) -> dict[str, Any]:
        """Parse settings of a database or role in the form ``name=value``. Return the value of each setting, with its
        name as the key.

        A secret value is replaced by its digest.
        """
        pairs = (setting.partition("=") for setting in given or ())
        return {name: self.setting(name, value) for name, _, value in pairs if not name.startswith("drillbook.")}


def is_sealed(value: Any) -> bool:
    """Return True when ``value`` is the digest of a secret."""
    return isinstance(value, dict) and value.keys() == {KEY}
