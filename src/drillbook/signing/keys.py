"""Signing keys and signatures. They are always made and checked by ``ssh-keygen -Y``.

Drillbook has no cryptography and no key format of its own.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from drillbook.atomic_file import private_folder

NAMESPACE = "drillbook-attestation"
CHOICE = "DRILLBOOK_SIGNING_KEY"
ALLOWED = Path("inventory") / "allowed_signers"
LIMIT_S = 5.0
"""Longest time, in seconds, to wait for a signature.

An SSH agent may ask a person before it signs. A finished run must not wait for this person any longer.
"""
NO_PROGRAM = "ssh-keygen is not installed"


class KeyProblem(Exception):
    """Raised when a key or a signature cannot be used. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature, and the public key that belongs to it."""

    signature: bytes
    public: str


def chosen(root: Path) -> Path:
    """Return the path of the signing key.

    Three keys are possible, in this order of preference: the key in the environment variable ``CHOICE``, the project's key,
    and the user's key. Raises KeyProblem when the user has no home folder for a key.
    """
    if named := os.environ.get(CHOICE):
        return Path(named).expanduser()
    own = root / ".drillbook" / "signing_key"
    if own.exists():
        return own
    config = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        folder = Path(config) if config.startswith("/") else Path.home() / ".config"
    except RuntimeError:
        raise KeyProblem(f"this user has no home folder for a key; name a key in {CHOICE}") from None
    return folder / "drillbook" / "signing_key"


def ready_key(root: Path) -> tuple[Path, str]:
    """Return the path of the signing key, and its public key as text. If there is no key, create one for the user.

    Raises KeyProblem when no key can be used or created.
    """
    key = chosen(root)
    if not key.exists():
        if os.environ.get(CHOICE):
            raise KeyProblem(f"the key {key}, which {CHOICE} names, does not exist")
        _make(key)
    if key == root / ".drillbook" / "signing_key":
        _ignore(key)
    return key, public_of(key)


def _ignore(key: Path) -> None:
    """Add a project's private ``key`` to the `.gitignore` in the folder of the key. Do nothing when this file cannot be
    written."""
    path, line = key.parent / ".gitignore", f"/{key.name}"
    with contextlib.suppress(OSError):
        known = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        if line not in known.splitlines():
            path.write_text(known + ("" if known.endswith("\n") or not known else "\n") + line + "\n", encoding="utf-8")


def public_of(key: Path) -> str:
    """Return the public key of ``key``, as one line. Raises KeyProblem when the key cannot be read."""
    path = key if key.suffix == ".pub" else key.with_name(key.name + ".pub")
    try:
        line = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        done = _keygen("-y", "-P", "", "-f", str(key))
        if done.returncode:
            raise KeyProblem(f"the key {key} cannot be read: {_last(done.stderr)}") from None
        line = done.stdout.decode(errors="replace").strip()
    fingerprint(line)
    return line


def fingerprint_of(root: Path) -> str:
    """Return the fingerprint of the key that signs runs of the project ``root``. The result is empty if there is no
    readable key.
    """
    try:
        return fingerprint(public_of(chosen(root)))
    except KeyProblem:
        return ""


def fingerprint(public: str) -> str:
    """Return the fingerprint ``SHA256:...`` of a public key, as ssh prints it. Raises KeyProblem when the key is invalid."""
    try:
        blob = base64.b64decode(public.split()[1], validate=True)
    except (IndexError, ValueError):
        raise KeyProblem("the text is not an SSH public key") from None
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def sign(data: bytes, key: Path) -> bytes:
    """Sign ``data`` with ``key``, and return the signature. A passphrase is never asked for.

    Raises KeyProblem when the key cannot be used.
    """
    done = _keygen("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), data=data)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise KeyProblem(f"the key {key} cannot be used: {_last(done.stderr)}")
    return done.stdout


def signer(data: bytes, signature: Path) -> str:
    """Return the fingerprint of the key that made ``signature`` over ``data``. The result is empty when the signature
    does not match.

    The owner of the key is not checked. Raises KeyProblem when the check could not run.
    """
    done = _keygen("-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature), data=data)
    match = re.search(rb"key (SHA256:[A-Za-z0-9+/]+)", done.stdout)
    return match[1].decode() if match and not done.returncode else ""


def principal(data: bytes, signature: Path, allowed: Path, at: str) -> str:
    """Return the name of the person who signed ``data``, from the allowed-signers file ``allowed``.

    The key must be valid at the time ``at``. The result is empty when the file allows no such signer. Raises KeyProblem when the check
    could not run.
    """
    when = f"-Overify-time={re.sub(r'[^0-9]', '', at)[:14]}Z"
    done = _keygen("-Y", "find-principals", when, "-s", str(signature), "-f", str(allowed))
    for name in done.stdout.decode(errors="replace").splitlines():
        checked = _keygen(
            "-Y",
            "verify",
            when,
            "-n",
            NAMESPACE,
            "-I",
            name.partition(",")[0],
            "-s",
            str(signature),
            "-f",
            str(allowed),
            data=data,
        )
        if not checked.returncode:
            return name
    return ""


def names_signers(allowed: Path) -> bool:
    """Return True when the file ``allowed`` names a key that is permitted to sign attestations.

    A line of the file may be limited to other namespaces, such as the namespace of approvals. Such a line does not count.
    When the file cannot be read, this is unknown, and the function returns True.
    """
    try:
        lines = [line.strip() for line in allowed.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return True
    return any(
        line and not line.startswith("#") and (NAMESPACE in line or "*" in line or "namespaces=" not in line)
        for line in lines
    )


def _make(key: Path) -> None:
    """Create an ed25519 key without a passphrase.

    When two processes create a key at the same time, one of the two keys is kept.
    """
    try:
        private_folder(key.parent)
        with tempfile.TemporaryDirectory(dir=key.parent, prefix=".new-") as folder:
            draft = Path(folder) / "key"
            done = _keygen("-q", "-t", "ed25519", "-N", "", "-C", "drillbook", "-f", str(draft))
            if done.returncode:
                raise KeyProblem(f"no key could be created: {_last(done.stderr)}")
            with contextlib.suppress(FileExistsError):
                os.link(draft, key)
                draft.with_name("key.pub").replace(key.with_name(key.name + ".pub"))
    except OSError as error:
        raise KeyProblem(f"no key could be created in {key.parent}: {error.strerror}") from None


def _keygen(*argv: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen in a new session, so that it cannot ask for a passphrase on the terminal.

    Raises KeyProblem when ssh-keygen cannot be used, or does not finish in time.
    """
    environment = {**os.environ, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"}
    environment.pop("DISPLAY", None)
    try:
        return subprocess.run(
            ["ssh-keygen", *argv],
            input=data,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            start_new_session=True,
            env=environment,
        )
    except FileNotFoundError:
        raise KeyProblem(NO_PROGRAM) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        why = (
            f"ssh-keygen did not finish within {LIMIT_S:g} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        )
        raise KeyProblem(f"ssh-keygen cannot be used: {why}") from None


def _last(text: bytes) -> str:
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "ssh-keygen gave no output"
