"""Texts that a named person signs with an SSH key (``ssh-keygen -Y``). They are created, stored as two files, and verified.

The inventory's ``approvers`` names an allowed-signers file as in ssh-keygen(1). The file lists the keys that may sign, and
may limit a key to a period.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from drillbook.atomic_file import replace_file
from drillbook.errors import UsageError
from drillbook.findings import Finding, finding
from drillbook.signing import account
from drillbook.values import canonical

FOLDER = "approvals"
NAMESPACE = "drillbook-approval"
LONGEST = timedelta(days=30)
CLOCKS = timedelta(minutes=10)
"""Largest accepted difference between the clocks of the approver and of the operator."""
SIZE_LIMIT = 64 * 1024
KEYGEN_S = 120.0
KEYS = ("id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa")


class Signed(BaseModel):
    """Base of signed texts. It has the name of the signer, the time of signing, and the expiry. Subclasses add the content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    LIMIT: ClassVar[int] = SIZE_LIMIT
    """Largest permitted size of the text in bytes."""

    principal: str = Field(min_length=1, max_length=200)
    made: datetime
    until: datetime

    @field_validator("made", "until")
    @classmethod
    def _zoned(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("a time must have a time zone")
        return value

    def rendered(self) -> bytes:
        """Return the text to be signed."""
        return canonical(self.model_dump(mode="json")) + b"\n"


Text = TypeVar("Text", bound=Signed)


@dataclass(frozen=True, slots=True)
class Look:
    """Result of the search for an approval.

    It is the approval with the fingerprint of its key, or a finding with the reason for a refusal.
    """

    approval: Signed | None = None
    fingerprint: str = ""
    refusal: Finding | None = None

    def facts(self) -> dict[str, Any] | None:
        """Facts of the approval for the journal; ``None`` when there is no valid approval."""
        if self.approval is None or self.refusal is not None:
            return None
        return {**self.approval.model_dump(mode="json"), "key": self.fingerprint}


@dataclass(frozen=True, slots=True)
class Files:
    """Paths of a signed text and of its signature."""

    text: Path
    signature: Path

    @classmethod
    def named(cls, root: Path, name: str) -> Files:
        """Return the paths of the text ``name`` and of its signature, in ``approvals/`` of the project's folder ``root``."""
        return cls.at(root / FOLDER / name)

    @classmethod
    def at(cls, text: Path) -> Files:
        """Return the paths of a text and of its signature beside it."""
        return cls(text, Path(f"{text}.sig"))


class Refused(Exception):
    """Raised for an approval that is not valid. ``finding`` has the reason."""

    def __init__(self, code: str, measured: str, *, wanted: str = "", remedy: str = "") -> None:
        """Create the error with a finding of the code ``code``."""
        super().__init__(measured)
        self.finding = finding(code, measured=measured, wanted=wanted, remedy=remedy)


def verified(
    files: Files, model: type[Text], approvers: str, absent: Callable[[Path], Refused], fits: Callable[[Text], None]
) -> tuple[Text, str]:
    """Verify the signed text in ``files``. Return the text, and the fingerprint of the key that signed it.

    ``fits``: function that is called with the text, and must raise Refused when the text is about another run or subject.
    ``absent``: function that returns the error to raise for a missing file. Raises Refused when the text is not a valid
    approval.
    """
    signers = signers_of(approvers)
    data, signature = _content(files.text, absent, model.LIMIT), _content(files.signature, absent, SIZE_LIMIT)
    fingerprint = _fits(data, signature)
    try:
        text = model.model_validate_json(data)
    except ValidationError as error:
        raise Refused("approval-not-verified", f"{files.text} is not an approval: {error.errors()[0]['msg']}") from None
    fits(text)
    _known(data, signature, text.principal, signers, fingerprint)
    return text, fingerprint


def missing(path: Path, subject: str, remedy: str, outdated: Callable[[Path], Refused]) -> Refused:
    """Return the finding for an approval of ``subject`` that is missing at ``path``, or has no signature.

    ``outdated``: function that returns the finding when only another version of ``subject`` was approved. It is called
    with the newest of these approvals.
    """
    if path.suffix == ".sig":
        return Refused("approval-bad-signature", f"{path} does not exist", wanted="the approval's signature", remedy=remedy)
    others = sorted(path.parent.glob(f"{subject}.????????.json"), key=lambda other: other.stat().st_mtime)
    if others:
        return outdated(others[-1])
    return Refused("approval-missing", f"{path} does not exist", wanted=path.name, remedy=remedy)


def signed(
    model: type[Text], files: Files, approvers: str, *, now: datetime, until: timedelta, key: Path | None, **fields: Any
) -> tuple[Text, str]:
    """Make a text from the content ``fields``, sign it with ``key``, and store text and signature in ``files``. Return
    the text and the key's fingerprint. ``key``: a private key, or the public key of a private key in an agent. By
    default, it is the first key in ~/.ssh with one of the usual names. ssh-keygen asks for the passphrase of a
    protected key. The signature is verified at once, and stored only when the key belongs to an approver. Raises
    UsageError with a hint when the text cannot be signed.
    """
    if not timedelta() < until <= LONGEST:
        raise UsageError(
            f"the duration of an approval must be positive and at most {LONGEST.days} days",
            hint="write a duration such as --until 24h",
        )
    try:
        signers = signers_of(approvers)
        chosen = _key(key)
        principal = _principal(signers, _public(chosen))
        made = model(
            principal=principal,
            made=now.astimezone(UTC).replace(microsecond=0),
            until=(now + until).astimezone(UTC).replace(microsecond=0),
            **fields,
        )
        data = made.rendered()
        signature = _sign(data, chosen)
        fingerprint = _fits(data, signature)
        _known(data, signature, principal, signers, fingerprint)
    except Refused as refused:
        raise UsageError(f"{refused.finding.title}: {refused.finding.measured}", hint=refused.finding.remedy) from None
    files.text.parent.mkdir(exist_ok=True)
    for path, content in ((files.text, data), (files.signature, signature)):
        replace_file(path, content, mode=None)
    return made, fingerprint


def signers_of(approvers: str) -> Path:
    """Return the path of the approvers' file of an inventory.

    Raises Refused when the inventory names no such file, or when the file is missing.
    """
    if not approvers:
        raise Refused(
            "approval-not-verified",
            "the inventory names no approvers",
            wanted="`approvers` in the inventory",
            remedy="Write `approvers: approvers` into the inventory. Next to the inventory, create a file with the name `approvers`. "
            f'It has one line for each approver: `NAME namespaces="{NAMESPACE}" KEY`.',
        )
    path = Path(approvers)
    if not path.is_file():
        raise Refused(
            "approval-not-verified",
            f"the approvers' file {path} does not exist",
            wanted="an allowed-signers file",
            remedy="Create the file as described in ssh-keygen(1) under ALLOWED SIGNERS, or correct `approvers` in the inventory.",
        )
    return path


def _content(path: Path, absent: Callable[[Path], Refused], limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise absent(path) from None
    except OSError as error:
        raise Refused("approval-not-verified", f"{path} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise Refused("approval-not-verified", f"{path} is not an approval: the file has more than {limit} bytes")
    return data


def _fits(text: bytes, signature: bytes) -> str:
    """Return the fingerprint of the key that signed exactly ``text``. Raises Refused when the signature does not match."""
    done = _keygen("check-novalidate", "-n", NAMESPACE, text=text, signature=signature)
    match = re.search(r"\b(SHA256:[A-Za-z0-9+/=]+)", done.stdout)
    if done.returncode or not match:
        raise Refused("approval-bad-signature", _last(done), wanted=f"a signature of this text in the namespace {NAMESPACE}")
    return match[1]


def _known(text: bytes, signature: bytes, principal: str, signers: Path, fingerprint: str) -> None:
    done = _keygen("verify", "-f", str(signers), "-I", principal, "-n", NAMESPACE, text=text, signature=signature)
    if done.returncode:
        raise Refused(
            "approval-unknown-signer",
            f"{principal} with the key {fingerprint}: {_last(done)}",
            wanted=f"a signer in {signers}",
        )


def timely(approval: Signed, now: datetime) -> None:
    """Check that the approval is valid at the time ``now``. Raises Refused in three cases: the approval has expired, its
    date is in the future, or it is valid for longer than LONGEST.
    """
    if approval.made > now + CLOCKS:
        raise Refused(
            "approval-not-verified",
            f"the date of the approval, {_time(approval.made)}, is in the future",
            wanted=f"an approval that was made before {_time(now)}",
        )
    if now >= approval.until:
        raise Refused(
            "approval-expired",
            f"{approval.principal} approved only until {_time(approval.until)}",
            wanted=f"an approval that is valid at {_time(now)}",
        )
    if approval.until - approval.made > LONGEST:
        raise Refused(
            "approval-expired",
            f"the approval is valid for {(approval.until - approval.made).days} days",
            wanted=f"an approval for at most {LONGEST.days} days",
        )


def other_person(approval: Signed, *operators: str) -> None:
    """Raise Refused when the approver is one of ``operators``, or one of the accounts that run this process."""
    who = [name for name in dict.fromkeys((*operators, *account.names())) if name and _same_person(name, approval.principal)]
    if who:
        raise Refused(
            "approval-by-operator",
            f"{approval.principal} approved the plan, but the operator is {who[0]}",
            wanted="two persons",
        )


def other_key(approval: Signed, fingerprint: str, signing: str) -> None:
    """Check that the approval and the run are signed with different keys. Raises Refused when both have the same key.

    ``fingerprint``: key of the approval; ``signing``: key of the run.
    """
    if fingerprint == signing:
        raise Refused(
            "approval-by-operator",
            (f"{approval.principal} signed the approval with the key {fingerprint}, and the same key signs this run"),
            wanted="two different keys, one for the approval and one for the run",
            remedy=("Let another person approve the plan, or sign runs with a key of your own (DRILLBOOK_SIGNING_KEY)."),
        )


def _same_person(name: str, other: str) -> bool:
    """Return True when two names, or their parts before ``@``, are equal in any letter case.

    Such names probably belong to the same person.
    """
    first, second = name.strip().casefold(), other.strip().casefold()
    return first == second or first.partition("@")[0] == second.partition("@")[0]


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return (lines[-1] if lines else f"ssh-keygen ended with status {done.returncode}")[:300]


def _keygen(what: str, *arguments: str, text: bytes, signature: bytes) -> subprocess.CompletedProcess[str]:
    """Run ``ssh-keygen -Y`` to check the ``signature`` of ``text``. Return its result. Raises Refused when it cannot run."""
    with tempfile.NamedTemporaryFile(prefix="drillbook-") as file:
        file.write(signature)
        file.flush()
        argv = ["ssh-keygen", "-Y", what, *arguments, "-s", file.name]
        try:
            done = subprocess.run(argv, input=text, capture_output=True, timeout=KEYGEN_S, check=False)
        except FileNotFoundError:
            raise Refused(
                "approval-not-verified",
                "the program ssh-keygen is not installed on this machine",
                wanted="ssh-keygen",
                remedy="Install OpenSSH 8.2 or newer (the package openssh-client).",
            ) from None
        except (OSError, subprocess.SubprocessError) as error:
            raise Refused("approval-not-verified", f"ssh-keygen could not be run: {type(error).__name__}") from None
    return subprocess.CompletedProcess(
        argv, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    )


def _key(given: Path | None) -> Path:
    if given is not None:
        path = given.expanduser()
        if not path.is_file():
            raise UsageError(
                f"the key {path} does not exist",
                hint="name your private key, or the public key when an agent has the private one",
            )
        return path
    folder = Path("~/.ssh").expanduser()
    key = next((folder / name for name in KEYS if (folder / name).is_file()), None)
    if key is None:
        raise UsageError(
            f"{folder} contains no key", hint=("name a key with --key PATH, or create one: ssh-keygen -t ed25519")
        )
    return key


def _public(key: Path) -> str:
    """Return the type and the base64 text of the public key that belongs to ``key``.

    Raises UsageError when the public key cannot be read.
    """
    path = key if key.suffix == ".pub" else Path(f"{key}.pub")
    try:
        words = path.read_text(encoding="utf-8", errors="replace").split()
    except OSError as error:
        raise UsageError(
            f"the public key {path} cannot be read: {error.strerror}",
            hint=f"create the public key: ssh-keygen -y -f {key} > {path}",
        ) from None
    if len(words) < 2:
        raise UsageError(f"{path} contains no public key", hint=f"create the public key: ssh-keygen -y -f {key} > {path}")
    return f"{words[0]} {words[1]}"


def _principal(signers: Path, public: str) -> str:
    """Return the first name without wildcards that the approvers' file lists for the key ``public``.

    Raises Refused when there is no such name.
    """
    for line in signers.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if public in " ".join(words) and not line.lstrip().startswith("#"):
            named = [name.strip('"') for name in words[0].split(",")]
            if plain := [name for name in named if name and not re.search(r"[*?!]", name)]:
                return plain[0]
    raise Refused(
        "approval-unknown-signer",
        "the approvers' file does not list this key, or lists it only under names with wildcards",
        wanted=f"a line in {signers}",
        remedy=f'Add a line to {signers}: NAME namespaces="{NAMESPACE}" {public}',
    )


def _sign(text: bytes, key: Path) -> bytes:
    with tempfile.TemporaryDirectory(prefix="drillbook-approval-") as folder:
        path = Path(folder) / "approval.json"
        path.write_bytes(text)
        argv: Sequence[str] = ("ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(path))
        try:
            done = subprocess.run(argv, capture_output=True, timeout=KEYGEN_S, check=False)
        except FileNotFoundError:
            raise UsageError(
                "the program ssh-keygen is not installed on this machine",
                hint="install OpenSSH 8.2 or newer (the package openssh-client)",
            ) from None
        except (OSError, subprocess.SubprocessError) as error:
            raise UsageError(f"ssh-keygen could not be run: {type(error).__name__}") from None
        made = Path(f"{path}.sig")
        if done.returncode or not made.is_file():
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise UsageError(
                f"the key {key} could not sign: {said[-1] if said else 'ssh-keygen gave no reason'}",
                hint="check the passphrase, and your permission to read the key",
            )
        return made.read_bytes()
