"""Keys of age for tests, and the program age as the independent check of what was encrypted."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from drillbook.values import Secret
from tests.needs import library, need


@dataclass(frozen=True)
class Key:
    """A pair of keys; ``identity`` names the file of the secret one."""

    recipient: str
    identity: Secret

    def opened(self, data: bytes) -> bytes:
        """The plain text, as age itself decrypts it."""
        argv = [need("age"), "--decrypt", "--identity", str(self.identity.name)]
        return subprocess.run(argv, input=data, capture_output=True, check=True).stdout

    def sealed(self, path: Path) -> Path:
        """The file encrypted by age itself; the plain one is removed, and the time of its last change kept."""
        target = path.with_name(f"{path.name}.age")
        subprocess.run([need("age"), "-r", self.recipient, "-o", str(target), str(path)], check=True)
        os.utime(target, (path.stat().st_atime, path.stat().st_mtime))
        path.unlink()
        return target


def made(folder: Path, name: str = "key") -> Key:
    """A new pair of keys, its file as age-keygen writes it."""
    secret = library("pyrage").x25519.Identity.generate()
    path = folder / f"{name}.txt"
    path.write_text(f"# created: 2026-11-28T00:00:00Z\n# public key: {secret.to_public()}\n{secret}\n")
    return Key(str(secret.to_public()), Secret(source="file", name=str(path)))
