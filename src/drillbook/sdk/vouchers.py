"""Vouching for backups: their manifests are signed like runs, and one that is named by its place alone must be vouched for.

Actions know no keys: who composes a run gives them ``Vouchers``, by their context.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from drillbook.errors import PlanError
from drillbook.sdk.action import Action, Context, Facts
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import FILE, SIGNATURE, sha256

Acts = TypeVar("Acts", bound=Action)
FIELDS = ("from_", "manifest")
"""Fields by which actions name a backup."""
UNKNOWN_RUN = "this run checks no signatures"


class Vouchers(Protocol):
    """Keys by which manifests are signed, and known."""

    def sign(self, manifest: bytes) -> tuple[bytes, str]:
        """Give the signature of ``manifest``, or none and the reason why it cannot be signed."""

    def doubt(self, manifest: bytes, signature: bytes | None) -> str:
        """Say why nobody vouches for ``manifest``; empty when a key that is vouched for signed it."""


def signed(ctx: Context, store: Store, folder: Reference, manifest: bytes) -> Facts:
    """Put the signature of ``manifest`` beside it; returns the facts of that. Raises CouldNotVerify."""
    if ctx.vouchers is None:
        return {}
    signature, why = ctx.vouchers.sign(manifest)
    if why:
        return {"signed": False, "unsigned": why}
    store.put(folder.below(SIGNATURE).key, signature, sha256(signature))
    return {"signed": True}


def doubt(ctx: Context, store: Store, folder: Reference, manifest: bytes) -> str:
    """Say why nobody vouches for the backup in ``folder`` with this ``manifest``; empty when somebody does.

    Raises CouldNotVerify.
    """
    if ctx.vouchers is None:
        return UNKNOWN_RUN
    known: Vouchers = ctx.vouchers
    return known.doubt(manifest, store.get(folder.below(SIGNATURE).key))


def pinned(action: Acts, ctx: Context) -> tuple[Acts, str]:
    """Pin the backup that ``action`` names by its place alone to the manifest that lies there now.

    Where none lies, it is pinned to an empty one: what somebody puts there a moment later was not looked at. Returns also
    why nobody vouches for that one; empty when somebody does, or when the action names no such backup.
    Raises CouldNotVerify.
    """
    pins, doubts = {}, []
    for name in FIELDS if ctx.vouchers else ():
        if found := _unpinned(getattr(action, name, None), ctx):
            store, where, manifest = found
            folder = Reference(where.bucket, where.key.removesuffix("/" + FILE))
            pins[name] = str(Reference(where.bucket, where.key, sha256(manifest or b"")))
            if manifest is not None and (why := doubt(ctx, store, folder, manifest)):
                doubts.append(f"nobody vouches for {pins[name]}: {why}")
    return (action.model_copy(update=pins) if pins else action), "; ".join(doubts)


def _unpinned(value: object, ctx: Context) -> tuple[Store, Reference, bytes | None] | None:
    """The store, the reference and the manifest, if any, of a backup that ``value`` names without a digest; else None."""
    try:
        where = Reference.parse(value) if isinstance(value, str) and value.startswith("s3://") else None
        store = Store(ctx.bucket(str(value))) if where and where.sha256 is None else None
    except (ValueError, PlanError):
        return None  # the action itself says what is wrong with it
    if where is None or store is None:
        return None
    return store, where, store.get(where.key if where.key.endswith("/" + FILE) else where.below(FILE).key)
