"""Signing keys and signatures, all by ``ssh-keygen -Y``: no cryptography of our own, and no new kind of key to keep."""

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

NAMESPACE = "drillbook-attestation"
CHOICE = "DRILLBOOK_SIGNING_KEY"
ALLOWED = Path("inventory") / "allowed_signers"
LIMIT_S = 5.0
"""An agent that asks a person for each signature is not waited for any longer: the run has its verdict already."""
NO_PROGRAM = "ssh-keygen is not installed"


class KeyProblem(Exception):
    """A key or a signature that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature, the public key that it was made with, and its fingerprint."""

    signature: bytes
    public: str


def chosen(root: Path) -> Path:
    """The signing key of the project ``root``: the one that is named, the project's own, or this person's."""
    if named := os.environ.get(CHOICE):
        return Path(named).expanduser()
    own = root / ".drillbook" / "signing_key"
    if own.exists():
        return own
    config = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        folder = Path(config) if config.startswith("/") else Path.home() / ".config"
    except RuntimeError:
        raise KeyProblem(f"this user has no home folder to keep a key in; name one in {CHOICE}") from None
    return folder / "drillbook" / "signing_key"


def ready_key(root: Path) -> tuple[Path, str]:
    """The signing key and its public half; this person's key is made when it is not there. Raises KeyProblem."""
    key = chosen(root)
    if not key.exists():
        if os.environ.get(CHOICE):
            raise KeyProblem(f"there is no key {key}, which {CHOICE} names")
        _make(key)
    if key == root / ".drillbook" / "signing_key":
        _ignore(key)
    return key, public_of(key)


def _ignore(key: Path) -> None:
    """Keep git from ever adding a private ``key`` that lies in a project."""
    path, line = key.parent / ".gitignore", f"/{key.name}"
    with contextlib.suppress(OSError):
        known = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        if line not in known.splitlines():
            path.write_text(known + ("" if known.endswith("\n") or not known else "\n") + line + "\n", encoding="utf-8")


def public_of(key: Path) -> str:
    """The public half of ``key``, as one line. Raises KeyProblem."""
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
    """Fingerprint of the key that signs runs of the project ``root``; empty where none can be read, or none is made yet."""
    try:
        return fingerprint(public_of(chosen(root)))
    except KeyProblem:
        return ""


def fingerprint(public: str) -> str:
    """``SHA256:...`` of a public key, as ssh prints it. Raises KeyProblem."""
    try:
        blob = base64.b64decode(public.split()[1], validate=True)
    except (IndexError, ValueError):
        raise KeyProblem("it is not a public key of ssh") from None
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def sign(data: bytes, key: Path) -> bytes:
    """A signature over ``data``. Raises KeyProblem; never asks anybody for a passphrase."""
    done = _keygen("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), data=data)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise KeyProblem(f"the key {key} cannot be used: {_last(done.stderr)}")
    return done.stdout


def signer(data: bytes, signature: Path) -> str:
    """Fingerprint of the key that made ``signature`` over ``data``; empty when the signature does not fit.

    Says nothing of who holds the key. Raises KeyProblem when it could not be tried.
    """
    done = _keygen("-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature), data=data)
    found = re.search(rb"key (SHA256:[A-Za-z0-9+/]+)", done.stdout)
    return found[1].decode() if found and not done.returncode else ""


def principal(data: bytes, signature: Path, allowed: Path, at: str) -> str:
    """Who signed, as ``allowed`` names the key: it must have been valid at ``at``. Empty when nobody there did.

    Raises KeyProblem when it could not be tried.
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
    """Does ``allowed`` name anybody for attestations? Lines may be for other namespaces, such as approvals, alone."""
    try:
        lines = [line.strip() for line in allowed.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return True
    return any(
        line and not line.startswith("#") and (NAMESPACE in line or "*" in line or "namespaces=" not in line)
        for line in lines
    )


def _make(key: Path) -> None:
    """Make an ed25519 key without a passphrase; of two processes that make it at once, one wins."""
    try:
        key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=key.parent, prefix=".new-") as folder:
            draft = Path(folder) / "key"
            done = _keygen("-q", "-t", "ed25519", "-N", "", "-C", "drillbook", "-f", str(draft))
            if done.returncode:
                raise KeyProblem(f"no key could be made: {_last(done.stderr)}")
            with contextlib.suppress(FileExistsError):
                os.link(draft, key)
                draft.with_name("key.pub").replace(key.with_name(key.name + ".pub"))
    except OSError as error:
        raise KeyProblem(f"no key could be made in {key.parent}: {error.strerror}") from None


def _keygen(*argv: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen in a session of its own, without a terminal that it could ask at. Raises KeyProblem."""
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
        why = f"it did not answer within {LIMIT_S:g} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        raise KeyProblem(f"ssh-keygen cannot be used: {why}") from None


def _last(text: bytes) -> str:
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "ssh-keygen says nothing"
