"""Approvals: who allows which plan until when, signed with an SSH key (``ssh-keygen -Y``) and verified before a run.

An approval is two files below ``approvals/`` of the project: the text, JSON, and its signature. Who may approve says
the inventory's ``approvers``: an allowed-signers file as in ssh-keygen(1), which may limit keys to times of its own.

Not promised: that operator and approver are two people. What is known of the operator is what the machine says; whoever
holds an approver's private key can approve as that approver, and whoever may edit the approvers' file can add one.
"""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from drillbook.errors import UsageError
from drillbook.findings import Finding, finding
from drillbook.planned import Plan
from drillbook.values import canonical

FOLDER = "approvals"
NAMESPACE = "drillbook-approval"
LONGEST = timedelta(days=30)
CLOCKS = timedelta(minutes=10)
"""How far the clocks of approver and operator may differ."""
SIZE_LIMIT = 64 * 1024
KEYGEN_S = 120.0
KEYS = ("id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa")


class Approval(BaseModel):
    """The text that is signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["drillbook/approval/1"] = "drillbook/approval/1"
    drill: str
    title: str
    environment: str
    plan_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    principal: str = Field(min_length=1, max_length=200)
    made: datetime
    until: datetime

    @field_validator("made", "until")
    @classmethod
    def _zoned(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value


@dataclass(frozen=True, slots=True)
class Look:
    """What was found out about the approval of a plan: the approval and its key, or the reason why none counts."""

    approval: Approval | None = None
    fingerprint: str = ""
    refusal: Finding | None = None

    def facts(self) -> dict[str, Any] | None:
        """The approval for the journal's first event; ``None``: there is none that counts."""
        if self.approval is None or self.refusal is not None:
            return None
        return {**self.approval.model_dump(mode="json"), "key": self.fingerprint}


@dataclass(frozen=True, slots=True)
class Files:
    """Where the approval of a plan lies."""

    text: Path
    signature: Path

    @classmethod
    def of(cls, root: Path, plan: Plan) -> Files:
        """Below ``approvals/`` of the project's folder ``root``."""
        text = root / FOLDER / f"{plan.drill}.{plan.digest.removeprefix('sha256:')[:8]}.json"
        return cls(text, Path(f"{text}.sig"))


class _Refused(Exception):
    """The approval does not count, and why."""

    def __init__(self, code: str, measured: str, *, wanted: str = "", remedy: str = "") -> None:
        super().__init__(measured)
        self.finding = finding(code, measured=measured, wanted=wanted, remedy=remedy)


def look(plan: Plan, root: Path, *, now: datetime, operator: str) -> Look:
    """Find and verify the approval of exactly this plan in the project's folder ``root``.

    ``operator`` is who wants to run it. Asks no host; runs ``ssh-keygen``.
    """
    files = Files.of(root, plan)
    try:
        approval, fingerprint = _verified(plan, files)
        _timely(approval, now)
        _other_person(approval, operator)
    except _Refused as refused:
        return Look(refusal=refused.finding)
    return Look(approval, fingerprint)


def _verified(plan: Plan, files: Files) -> tuple[Approval, str]:
    signers = _signers(plan)
    text, signature = _content(files.text, plan), _content(files.signature, plan)
    fingerprint = _fits(text, signature)
    approval = _read(text, files.text)
    wanted = (plan.drill, plan.inventory.environment, plan.digest)
    given = (approval.drill, approval.environment, approval.plan_digest)
    if wanted != given:
        raise _Refused("approval-changed", f"{files.text.name} approves {given[0]} on {given[1]} with the digest {given[2]}",
                       wanted=f"{wanted[0]} on {wanted[1]} with the digest {wanted[2]}")
    _known(text, signature, approval.principal, signers, fingerprint)
    return approval, fingerprint


def _signers(plan: Plan) -> Path:
    if not plan.inventory.approvers:
        raise _Refused("approval-not-verified", "the inventory does not say who may approve",
                       wanted="`approvers` in the inventory",
                       remedy="Write `approvers: approvers` into the inventory, and into the file `approvers` beside it a "
                              f"line `NAME namespaces=\"{NAMESPACE}\" KEY` for each approver.")
    path = Path(plan.inventory.approvers)
    if not path.is_file():
        raise _Refused("approval-not-verified", f"the approvers' file {path} is not there", wanted="an allowed-signers file",
                       remedy="Make it as ssh-keygen(1) says under ALLOWED SIGNERS, or correct `approvers` in the "
                              "inventory.")
    return path


def _content(path: Path, plan: Plan) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise _absent(path, plan) from None
    except OSError as error:
        raise _Refused("approval-not-verified", f"{path} cannot be read: {error.strerror}") from None
    if len(data) > SIZE_LIMIT:
        raise _Refused("approval-not-verified", f"{path} is no approval: it has more than {SIZE_LIMIT} bytes")
    return data


def _absent(path: Path, plan: Plan) -> _Refused:
    """There is no approval of this plan; perhaps one of another state of it."""
    others = sorted(path.parent.glob(f"{plan.drill}.????????.json"), key=lambda other: other.stat().st_mtime)
    remedy = (f"Let somebody else approve it: `invoke drill.approve {plan.drill}`, and bring the two files below "
              f"{FOLDER}/ here.")
    if path.suffix == ".sig":
        return _Refused("approval-bad-signature", f"{path} is not there", wanted="the approval's signature", remedy=remedy)
    if others:
        return _Refused("approval-changed", f"the newest approval is {others[-1].name}", wanted=path.name,
                        remedy=f"Look at the plan with `invoke drill.plan {plan.drill}`, and let it be approved again: "
                               f"`invoke drill.approve {plan.drill}`.")
    return _Refused("approval-missing", f"there is no {path}", wanted=path.name, remedy=remedy)


def _read(text: bytes, path: Path) -> Approval:
    try:
        return Approval.model_validate_json(text)
    except ValidationError as error:
        raise _Refused("approval-not-verified", f"{path} is no approval: {error.errors()[0]['msg']}") from None


def _fits(text: bytes, signature: bytes) -> str:
    """Fingerprint of the key that signed exactly ``text``."""
    done = _keygen("check-novalidate", "-n", NAMESPACE, text=text, signature=signature)
    found = re.search(r"\b(SHA256:[A-Za-z0-9+/=]+)", done.stdout)
    if done.returncode or not found:
        raise _Refused("approval-bad-signature", _last(done),
                       wanted=f"a signature of this text in the namespace {NAMESPACE}")
    return found[1]


def _known(text: bytes, signature: bytes, principal: str, signers: Path, fingerprint: str) -> None:
    done = _keygen("verify", "-f", str(signers), "-I", principal, "-n", NAMESPACE, text=text, signature=signature)
    if done.returncode:
        raise _Refused("approval-unknown-signer", f"{principal} with the key {fingerprint}: {_last(done)}",
                       wanted=f"a signer in {signers}")


def _timely(approval: Approval, now: datetime) -> None:
    if approval.made > now + CLOCKS:
        raise _Refused("approval-not-verified", f"it says that it was made {_time(approval.made)}, which is still to come",
                       wanted=f"an approval that was made before {_time(now)}")
    if now >= approval.until:
        raise _Refused("approval-expired", f"{approval.principal} approved until {_time(approval.until)}",
                       wanted=f"an approval that holds at {_time(now)}")
    if approval.until - approval.made > LONGEST:
        raise _Refused("approval-expired", f"it was given for {(approval.until - approval.made).days} days",
                       wanted=f"an approval for at most {LONGEST.days} days")


def _other_person(approval: Approval, operator: str) -> None:
    who = [name for name in dict.fromkeys((operator, _login())) if name and _same_person(name, approval.principal)]
    if who:
        raise _Refused("approval-by-operator", f"{approval.principal} approved it, and {who[0]} wants to run it",
                       wanted="two persons")


def _same_person(one: str, other: str) -> bool:
    """Names are of one person when they, or what stands before their ``@``, are equal in any case."""
    first, second = one.strip().casefold(), other.strip().casefold()
    return first == second or first.partition("@")[0] == second.partition("@")[0]


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return (lines[-1] if lines else f"ssh-keygen ended with status {done.returncode}")[:300]


def _keygen(what: str, *arguments: str, text: bytes, signature: bytes) -> subprocess.CompletedProcess[str]:
    """Run ``ssh-keygen -Y`` over ``text``. Raises _Refused when it cannot be run."""
    with tempfile.NamedTemporaryFile(prefix="drillbook-") as file:
        file.write(signature)
        file.flush()
        argv = ["ssh-keygen", "-Y", what, *arguments, "-s", file.name]
        try:
            done = subprocess.run(argv, input=text, capture_output=True, timeout=KEYGEN_S, check=False)
        except FileNotFoundError:
            raise _Refused("approval-not-verified", "the program ssh-keygen is not on this machine", wanted="ssh-keygen",
                           remedy="Install OpenSSH 8.2 or newer (the package openssh-client).") from None
        except (OSError, subprocess.SubprocessError) as error:
            raise _Refused("approval-not-verified", f"ssh-keygen could not be run: {type(error).__name__}") from None
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode("utf-8", "replace"),
                                       done.stderr.decode("utf-8", "replace"))


def approve(plan: Plan, root: Path, *, now: datetime, until: timedelta, key: Path | None = None) -> tuple[Look, Files]:
    """Sign an approval of ``plan`` with ``key`` and keep it below the project's folder ``root``; it is verified at once.

    ``key`` is a private key, or a public one whose private half an agent holds; default: the first of the usual names
    in ~/.ssh. ssh-keygen asks for a passphrase where the key has one. Raises UsageError with what to do.
    """
    if not timedelta() < until <= LONGEST:
        raise UsageError(f"an approval holds for more than nothing and at most {LONGEST.days} days",
                         hint="such as --until 24h")
    try:
        signers = _signers(plan)
        chosen = _key(key)
        principal = _principal(signers, _public(chosen))
        approval = Approval(drill=plan.drill, title=plan.title, environment=plan.inventory.environment,
                            plan_digest=plan.digest, principal=principal, made=now.astimezone(UTC).replace(microsecond=0),
                            until=(now + until).astimezone(UTC).replace(microsecond=0))
        text = canonical(approval.model_dump(mode="json")) + b"\n"
        signature = _sign(text, chosen)
        fingerprint = _fits(text, signature)
        _known(text, signature, principal, signers, fingerprint)
    except _Refused as refused:
        raise UsageError(f"{refused.finding.title}: {refused.finding.measured}", hint=refused.finding.remedy) from None
    files = Files.of(root, plan)
    files.text.parent.mkdir(exist_ok=True)
    for path, data in ((files.text, text), (files.signature, signature)):
        _replace(path, data)
    return Look(approval, fingerprint), files


def _key(given: Path | None) -> Path:
    if given is not None:
        path = given.expanduser()
        if not path.is_file():
            raise UsageError(f"there is no key {path}",
                             hint="name your private key, or the public one when an agent holds it")
        return path
    folder = Path("~/.ssh").expanduser()
    found = next((folder / name for name in KEYS if (folder / name).is_file()), None)
    if found is None:
        raise UsageError(f"there is no key in {folder}", hint="name one: --key PATH; make one: ssh-keygen -t ed25519")
    return found


def _public(key: Path) -> str:
    """The public key as type and content."""
    path = key if key.suffix == ".pub" else Path(f"{key}.pub")
    try:
        words = path.read_text(encoding="utf-8", errors="replace").split()
    except OSError as error:
        raise UsageError(f"the public key {path} cannot be read: {error.strerror}",
                         hint=f"make it: ssh-keygen -y -f {key} > {path}") from None
    if len(words) < 2:
        raise UsageError(f"{path} holds no public key", hint=f"make it: ssh-keygen -y -f {key} > {path}")
    return f"{words[0]} {words[1]}"


def _principal(signers: Path, public: str) -> str:
    """The first name that the approvers' file gives to ``public``; ssh-keygen judges it later."""
    for line in signers.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if public in " ".join(words) and not line.lstrip().startswith("#"):
            named = [name.strip('"') for name in words[0].split(",")]
            if plain := [name for name in named if name and not re.search(r"[*?!]", name)]:
                return plain[0]
    raise _Refused("approval-unknown-signer", "this key does not stand there with a plain name",
                   wanted=f"a line in {signers}",
                   remedy=f"Add a line to {signers}: NAME namespaces=\"{NAMESPACE}\" {public}")


def _sign(text: bytes, key: Path) -> bytes:
    with tempfile.TemporaryDirectory(prefix="drillbook-approval-") as folder:
        path = Path(folder) / "approval.json"
        path.write_bytes(text)
        argv: Sequence[str] = ("ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(path))
        try:
            done = subprocess.run(argv, capture_output=True, timeout=KEYGEN_S, check=False)
        except FileNotFoundError:
            raise UsageError("the program ssh-keygen is not on this machine",
                             hint="install OpenSSH 8.2 or newer (the package openssh-client)") from None
        except (OSError, subprocess.SubprocessError) as error:
            raise UsageError(f"ssh-keygen could not be run: {type(error).__name__}") from None
        made = Path(f"{path}.sig")
        if done.returncode or not made.is_file():
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise UsageError(f"the key {key} could not sign: {said[-1] if said else 'ssh-keygen gave no reason'}",
                             hint="is the passphrase right, and may you read the key?")
        return made.read_bytes()


def _replace(path: Path, data: bytes) -> None:
    """Write ``path`` whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(data)
    new.replace(path)
