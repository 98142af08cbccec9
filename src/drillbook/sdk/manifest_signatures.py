"""Signatures of the manifests of backups. A backup that is named without a digest must have a trusted signature.

Actions have no access to keys. The context of an action contains a ``Vouchers`` object, which signs manifests and checks
signatures for the action.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from drillbook.errors import PlanError
from drillbook.sdk.action import Action, Context, Facts
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import FILE, SIGNATURE, sha256

Acts = TypeVar("Acts", bound=Action)
FIELDS = ("from_", "manifest")
"""Fields in which actions refer to a backup."""
UNKNOWN_RUN = "this run does not check signatures"


class Vouchers(Protocol):
    """Interface that signs manifests, and checks that the signatures of manifests are trusted."""

    def sign(self, manifest: bytes) -> tuple[bytes, str]:
        """Sign ``manifest``. Returns the signature and an empty text.

        When the manifest cannot be signed, returns an empty signature and the reason.
        """

    def doubt(self, manifest: bytes, signature: bytes | None) -> str:
        """Return the reason why the signature of ``manifest`` is not trusted. The result is empty when it is trusted."""


def signed(ctx: Context, store: Store, folder: Reference, manifest: bytes) -> Facts:
    """Store the signature of ``manifest`` next to the manifest.

    Returns the facts about the signature. Raises CouldNotVerify when the store fails.
    """
    if ctx.vouchers is None:
        return {}
    signature, why = ctx.vouchers.sign(manifest)
    if why:
        return {"signed": False, "unsigned": why}
    store.put(folder.below(SIGNATURE).key, signature, sha256(signature))
    return {"signed": True}


def doubt(ctx: Context, store: Store, folder: Reference, manifest: bytes) -> str:
    """Return the reason why the signature of ``manifest`` in ``folder`` is not trusted. The result is empty when it is trusted.

    Raises CouldNotVerify when the store fails.
    """
    if ctx.vouchers is None:
        return UNKNOWN_RUN
    known: Vouchers = ctx.vouchers
    return known.doubt(manifest, store.get(folder.below(SIGNATURE).key))


def pinned(action: Acts, ctx: Context) -> tuple[Acts, str]:
    """Add a digest to each field of ``action`` that refers to a backup without a digest.

    The digest is that of the manifest that the store has now. If the store has no manifest, the digest of empty content is
    added. A manifest that somebody stores later does not match this digest, and is refused.

    Returns the changed action, and the reason why a signature is not trusted. The reason is empty when all signatures are
    trusted, or when no backup exists. Raises CouldNotVerify when the store fails.
    """
    pins, doubts = {}, []
    for name in FIELDS if ctx.vouchers else ():
        if unpinned := _unpinned(getattr(action, name, None), ctx):
            store, where, manifest = unpinned
            folder = Reference(where.bucket, where.key.removesuffix("/" + FILE))
            pins[name] = str(Reference(where.bucket, where.key, sha256(manifest or b"")))
            if manifest is not None and (why := doubt(ctx, store, folder, manifest)):
                doubts.append(f"{pins[name]} has no trusted signature: {why}")
    return (action.model_copy(update=pins) if pins else action), "; ".join(doubts)


def _unpinned(value: object, ctx: Context) -> tuple[Store, Reference, bytes | None] | None:
    """Return the store, the reference and the manifest for a ``value`` that refers to a backup without a digest.

    Returns None for any other value. The manifest is None if it is missing in the store.
    """
    try:
        where = Reference.parse(value) if isinstance(value, str) and value.startswith("s3://") else None
        store = Store(ctx.bucket(str(value))) if where and where.sha256 is None else None
    except (ValueError, PlanError):
        return None  # the action itself reports the wrong reference
    if where is None or store is None:
        return None
    return store, where, store.get(where.key if where.key.endswith("/" + FILE) else where.below(FILE).key)
