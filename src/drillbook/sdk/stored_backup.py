"""Stored backup: a folder with files and with ``manifest.json``. The manifest lists all files, and is written last.

This module defines the fields that the manifests of all kinds of backups share, and it reads and verifies backups. Each
kind has its own class of manifests, derived from ``BackupManifest`` or ``FilesManifest``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from drillbook.errors import StepFailed
from drillbook.findings import Finding, finding
from drillbook.language.lists import listed
from drillbook.sdk import encryption, host_encryption
from drillbook.sdk.action import Context
from drillbook.sdk.encryption import SUFFIX, Encryption
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.run_names import drill_of
from drillbook.sdk.store import Store
from drillbook.sdk.transfer import NAME, PART_LEAST, Carrier, File, Problem
from drillbook.values import canonical

FILE = "manifest.json"
SIGNATURE = "manifest.json.sig"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hexadecimal."""


class Part(BaseModel):
    """Base of the models in a manifest. They reject unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(Part):
    """One file of a backup as its manifest lists it. ``size`` is in bytes.

    For an encrypted file, ``size`` and ``sha256`` are those of the encrypted file. ``plain`` describes the decrypted
    content.
    """

    size: Annotated[int, Field(ge=0)]
    sha256: Sha256
    plain: StoredFile | None = None

    @classmethod
    def of(cls, file: File) -> StoredFile:
        """Return the manifest entry for an uploaded file."""
        return StoredFile(size=file.size, sha256=file.sha256, plain=StoredFile.of(file.plain) if file.plain else None)

    @model_serializer(mode="wrap")
    def _without_no_plain(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out the field `plain` when a file is not encrypted. The entry is then the same as in manifests of older
        versions.
        """
        return {key: value for key, value in written(self).items() if (key, value) != ("plain", None)}

    def stored_as(self, name: str) -> str:
        """Return the name of the object that holds the file ``name``."""
        return f"{name}{SUFFIX}" if self.plain else name

    def file(self, name: str) -> File:
        """Return the stored file, as an object for transfers. ``name``: name of the file before the encryption."""
        plain = self.plain.file(name) if self.plain else None
        return File(self.stored_as(name), self.size, self.sha256, plain=plain)


def entries(sent: Sequence[File]) -> dict[str, StoredFile]:
    """Return the manifest's entries for uploaded files. The key of each entry is the name of the file before the encryption."""
    return {file.content.name: StoredFile.of(file) for file in sent}


class BackupManifest(Part):
    """Fields that the manifests of all kinds of backups have. A folder without a manifest is not a backup.

    ``taken_at`` is in UTC. It is read from the controller's clock, unless a subclass documents another clock.
    """

    ADDED: ClassVar[frozenset[str]] = frozenset()
    """Names of the fields that older versions did not write.

    These fields are left out of the JSON while they are None, so that digests of old manifests stay valid.
    """

    format: str
    run: str
    service: str
    taken_at: str
    encrypted: Encryption | None = None
    """Rule with the recipients for whom the files are encrypted. It is None if the files are not encrypted."""

    @property
    def drill(self) -> str:
        """Name of the drill that took the backup, as a part of ``run``. If ``run`` does not have the form of a run's name, the
        whole text ``run`` is the result.
        """
        return drill_of(self.run) or self.run

    def encoded(self) -> bytes:
        """Return the manifest as canonical JSON, the form in which it is stored."""
        value = self.model_dump(mode="json", by_alias=True)
        added = self.ADDED | {"encrypted"}
        return canonical({key: part for key, part in value.items() if part not in (None, []) or key not in added})

    def digest_at(self, origin: Reference) -> str:
        """Return the digest of this backup: the digest in ``origin``, or the digest of the manifest if ``origin`` has none."""
        return origin.sha256 or sha256(self.encoded())

    def stored(self) -> Mapping[str, int] | None:
        """Return the objects in the backup's folder. The key of each entry is the name of the object, and the value its size
        in bytes.

        The manifest and its signature are left out. Returns None when the manifest does not list the objects. Such a
        backup is never pruned.
        """
        return None

    def listed(self) -> list[File]:
        """Return the files that a host downloads. The list is empty for a kind of backup whose files stay in the store."""
        return []

    @classmethod
    def read(cls, store: Store, origin: Reference) -> Self:
        """Read the manifest in the folder ``origin``. If ``origin`` contains a digest, the manifest must have this digest.

        Raises StepFailed. The finding is ``backup-missing`` when there is no manifest, and ``backup-manifest`` when it is
        invalid or has another digest. Raises CouldNotVerify when the store fails.
        """
        return cls.parsed(content(store, origin), origin.below(FILE))

    @classmethod
    def parsed(cls, data: bytes, where: Reference) -> Self:
        """Parse a manifest. ``where``: the place that it was read from, for messages.

        Raises StepFailed with the finding ``backup-manifest`` when the manifest is invalid.
        """
        try:
            return cls.model_validate(json.loads(data))
        except (ValidationError, ValueError) as error:
            said, form = re.sub(r"\s+", " ", str(error))[:300], cls.model_fields["format"].default
            raise StepFailed(
                f"{where} is not a manifest of format {form}",
                findings=[
                    finding("backup-manifest", title=str(where), wanted=f"a manifest of format {form}", measured=said)
                ],
            ) from error


class FilesManifest(BackupManifest):
    """Manifest of a backup that consists of files. ``files``: each key is the name of a file, and the value is its entry."""

    files: Mapping[Annotated[str, Field(pattern=f"^{NAME}$")], StoredFile]

    @classmethod
    def read_whole(cls, store: Store, origin: Reference) -> Self:
        """Read the manifest as ``read`` does, and then check that the store lists every file with its size.

        Raises StepFailed with a finding for each file that is missing or has another size, and CouldNotVerify when the
        store fails.
        """
        backup = cls.read(store, origin)
        if wrong := present(store, origin, backup.stored()):
            raise StepFailed(f"the backup in {origin} is incomplete or damaged: {summary(wrong)}", findings=wrong)
        return backup

    def stored(self) -> Mapping[str, int]:
        """Return the stored files. The key of each entry is the name of the object, and the value is its size in bytes."""
        return {file.stored_as(name): file.size for name, file in self.files.items()}

    def listed(self) -> list[File]:
        """Return the files of the backup, as objects for transfers."""
        return [file.file(name) for name, file in sorted(self.files.items())]

    @property
    def bytes(self) -> int:
        """Size of all stored files together, in bytes."""
        return sum(file.size for file in self.files.values())


def content(store: Store, origin: Reference) -> bytes:
    """Return the bytes of the manifest in the folder ``origin``. If ``origin`` contains a digest, the manifest must have
    this digest.

    Raises StepFailed. The finding is ``backup-missing`` when there is no manifest, and ``backup-manifest`` when it has
    another digest. Raises CouldNotVerify when the store fails.
    """
    where = origin.below(FILE)
    data = store.get(where.key)
    if data is None:
        raise StepFailed(
            f"{where} does not exist",
            findings=[finding("backup-missing", title=FILE, wanted=str(where), measured="no such object")],
        )
    measured = sha256(data)
    if origin.sha256 not in (None, measured):
        raise StepFailed(
            f"{where} is not the manifest that was written",
            findings=[
                finding(
                    "backup-manifest",
                    title=str(where),
                    wanted=f"sha256 {origin.sha256}",
                    measured=f"sha256 {measured}",
                )
            ],
        )
    return data


def split(text: str) -> Reference:
    """Return the reference to the folder of a backup, with the digest of its manifest if ``text`` contains it.

    ``text``: reference to the folder or to the manifest. Raises ValueError when it is not a reference.
    """
    reference = Reference.parse(text)
    return Reference(reference.bucket, reference.key.removesuffix("/" + FILE), reference.sha256)


def present(store: Store, folder: Reference, wanted: Mapping[str, int]) -> list[Finding]:
    """Compare the files in the store with the ``wanted`` files. Return a finding for each missing file and each wrong size.

    ``wanted``: the key is the name of a file, and the value is its size in bytes. Raises CouldNotVerify when the store
    fails.
    """
    sizes = store.sizes(folder.key + "/")
    wrong = []
    for name, size in sorted(wanted.items()):
        if name not in sizes:
            wrong.append(finding("backup-missing", title=name, wanted=str(folder.below(name)), measured="no such object"))
        elif sizes[name] != size:
            wrong.append(finding("backup-size", title=name, wanted=f"{size} bytes", measured=f"{sizes[name]} bytes"))
    return wrong


def document(store: Store, origin: Reference, manifest: FilesManifest, name: str) -> bytes:
    """Return the content of a small file of the backup at ``origin``. The controller reads the file and compares its
    digest.

    Raises StepFailed with the finding ``backup-missing``, ``backup-digest`` or ``backup-key-lost``, and CouldNotVerify when
    the store fails.
    """
    wanted = manifest.files[name]
    where = origin.below(wanted.stored_as(name))
    data = store.get(where.key)
    if data is None or sha256(data) != wanted.sha256:
        code = "backup-missing" if data is None else "backup-digest"
        measured = "no such object" if data is None else f"sha256 {sha256(data)}"
        wrong = finding(code, title=name, wanted=f"sha256 {wanted.sha256}", measured=measured)
        raise StepFailed(f"{where} is not the file that was written", findings=[wrong])
    return encryption.decrypted(data, keys_of(store, origin, manifest), name) if wanted.plain else data


def keys_of(store: Store, origin: Reference, manifest: BackupManifest) -> tuple[str, ...]:
    """Return the secret keys that decrypt the backup at ``origin``. The result is empty if the backup is not encrypted.

    Raises StepFailed with the finding ``backup-key-lost`` when no key fits.
    """
    if manifest.encrypted is None:
        return ()
    return encryption.fitting_keys(store.service.identity, manifest.encrypted, f"s3://{origin.bucket}/{origin.key}")


def carry(ctx: Context, store: Store, origin: Reference, manifest: BackupManifest, scratch: str) -> str:
    """Download the files of the backup at ``origin`` to the step's host, compare their sizes and digests, and decrypt them.

    Returns the path of a new folder below ``scratch`` with the files. Raises StepFailed with a finding for each file that is
    missing or differs, or when the key is lost. Raises NotReady when the program `age` is not on the host, and HostError when
    the host fails.
    """
    folder, keys, files = f"{scratch}/files", keys_of(store, origin, manifest), manifest.listed()
    ctx.run("mkdir", "-m", "700", "--", folder).check()
    carrier = Carrier(ctx.host, ctx.deadline, scratch)
    _must_have_arrived(ctx, origin, carrier.fetch(folder, files, store, origin.key))
    plain = {file.name: file.plain for file in files if file.plain}
    if plain:
        pairs = [(f"{folder}/{name}", f"{folder}/{file.name}") for name, file in plain.items()]
        host_encryption.decrypt(ctx.host, ctx.deadline, keys, pairs)
        there = {file.name: file for file in carrier.survey(folder, PART_LEAST)}
        wrong = [
            finding(
                "backup-digest",
                title=file.name,
                wanted=f"sha256 {file.sha256}",
                measured=f"sha256 {there[file.name].sha256}",
            )
            for file in plain.values()
            if there[file.name].sha256 != file.sha256
        ]
        if wrong:
            raise StepFailed(
                f"the decrypted files of the backup in {origin} differ from the manifest: {summary(wrong)}", findings=wrong
            )
    return folder


def _must_have_arrived(ctx: Context, origin: Reference, problems: Sequence[Problem]) -> None:
    """Raise StepFailed if there are ``problems`` with downloaded files.

    The error has a finding for each missing or damaged file.
    """
    wrong = [
        finding(f"backup-{file.kind}", title=file.name, wanted=file.wanted, measured=file.measured, host=ctx.host.name)
        for file in problems
        if file.kind != "error"
    ]
    if wrong:
        raise StepFailed(f"the backup in {origin} is damaged: {summary(wrong)}", findings=wrong)
    if problems:
        said = "; ".join(f"{file.name}: {file.measured}" for file in problems[:3])
        raise StepFailed(f"{ctx.host.name} could not fetch {len(problems)} files: {said}")


def summary(findings: Sequence[Finding]) -> str:
    """Summarize several findings in one line."""
    return listed([problem.title for problem in findings], 3, "; ")


def utc(moment: datetime) -> str:
    """Format ``moment`` in UTC with milliseconds, as the field ``taken_at`` requires."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """Return the time of the controller's clock in the format of ``taken_at``."""
    return utc(datetime.now(UTC))


def sha256(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
