"""A backup as it lies in a store: a folder of files and ``manifest.json``, which is written last and names them all.

What every kind of backup shares; what a manifest says beside that is the kind's own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drillbook.errors import StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.store import Reference, Store

FILE = "manifest.json"
SIGNATURE = "manifest.json.sig"
Model = TypeVar("Model", bound=BaseModel)


class StoredFile(BaseModel):
    """One file of a backup, as its manifest names it; ``size`` in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def read(store: Store, where: Reference, wanted: str | None, model: type[Model], form: str) -> Model:
    """The manifest at ``where`` as ``model``; its content must have the digest ``wanted`` unless that is None.

    ``form`` names the format that it should have. Raises StepFailed with ``backup-missing`` or ``backup-manifest``,
    CouldNotVerify.
    """
    data = store.get(where.key)
    if data is None:
        raise StepFailed(
            f"there is no {where}",
            findings=[finding("backup-missing", title=FILE, wanted=str(where), measured="no such object")],
        )
    found = sha256(data)
    if wanted is not None and found != wanted:
        raise StepFailed(
            f"{where} is not the one that was written",
            findings=[finding("backup-manifest", title=str(where), wanted=f"sha256 {wanted}", measured=f"sha256 {found}")],
        )
    try:
        return model.model_validate(json.loads(data))
    except (ValidationError, ValueError) as error:
        said = re.sub(r"\s+", " ", str(error))[:300]
        raise StepFailed(
            f"{where} is no manifest",
            findings=[finding("backup-manifest", title=str(where), wanted=f"a manifest of format {form}", measured=said)],
        ) from error


def split(text: str) -> Reference:
    """The folder of a backup, from a reference to it or to its manifest; the digest is the manifest's. Raises ValueError."""
    found = Reference.parse(text)
    return Reference(found.bucket, found.key.removesuffix("/" + FILE), found.sha256)


def present(store: Store, folder: Reference, wanted: Mapping[str, int]) -> list[Finding]:
    """What is wrong with the files of a backup, given by name and size, as far as the store's listing shows it.

    Raises CouldNotVerify.
    """
    sizes = store.sizes(folder.key + "/")
    wrong = []
    for name, size in sorted(wanted.items()):
        if name not in sizes:
            wrong.append(finding("backup-missing", title=name, wanted=str(folder.below(name)), measured="no such object"))
        elif sizes[name] != size:
            wrong.append(finding("backup-size", title=name, wanted=f"{size} bytes", measured=f"{sizes[name]} bytes"))
    return wrong


def summary(findings: Sequence[Finding]) -> str:
    """One line for several findings."""
    return "; ".join(one.title for one in findings[:3]) + (f" and {len(findings) - 3} more" if len(findings) > 3 else "")


def sha256(data: bytes) -> str:
    """Hex digest of ``data``."""
    return hashlib.sha256(data).hexdigest()
