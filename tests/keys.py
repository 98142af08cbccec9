"""Keys of age for tests, and the program age as an independent check of encrypted files."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from drillbook.values import Secret
from tests.needs import library, need


@dataclass(frozen=True)
class Key:
    """Key pair; ``identity`` is the file of the secret key."""

    recipient: str
    identity: Secret

    def opened(self, data: bytes) -> bytes:
        """Decrypt the file with the program age. Return the plain text."""
        argv = [need("age"), "--decrypt", "--identity", str(self.identity.name)]
        return subprocess.run(argv, input=data, capture_output=True, check=True).stdout

    def sealed(self, path: Path) -> Path:
        """Encrypt the file with the program age, remove the plain file, and keep its modification time."""
        target = path.with_name(f"{path.name}.age")
        subprocess.run([need("age"), "-r", self.recipient, "-o", str(target), str(path)], check=True)
        os.utime(target, (path.stat().st_atime, path.stat().st_mtime))
        path.unlink()
        return target


def made(folder: Path, name: str = "key") -> Key:
    """New key pair, with a file as written by age-keygen."""
    secret = library("pyrage").x25519.Identity.generate()
    path = folder / f"{name}.txt"
    path.write_text(f"# created: 2026-11-28T00:00:00Z\n# public key: {secret.to_public()}\n{secret}\n")
    return Key(str(secret.to_public()), Secret(source="file", name=str(path)))
