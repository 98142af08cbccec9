"""Checks whether a drill has the rights that its later steps need at an object store. Each check sends a request that
changes no object.
"""

from __future__ import annotations

import hashlib
import secrets

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.context import Context
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.s3errors import is_refused
from drillbook.sdk.store import Store

_NO_UPLOAD = "drillbook-no-such-upload"
"""Id that no multipart upload has, because the store itself chooses the ids."""


def need_writable(ctx: Context, store: Store, key: str = "") -> None:
    """Check that the bucket can be read, and that objects can be written below ``key``.

    The trial uploads a part to a multipart upload that does not exist. S3 requires the right s3:PutObject for this request
    and checks it first. Nothing is written, and nothing remains when the controller dies during the trial. Steps that write
    to the same place share one trial, see ``Context.uploads``. Raises NotReady when the bucket cannot be read, and when the
    store refuses the upload. Another error of the upload is ignored, because it does not show that a right is missing.

    Source: Amazon S3 API Reference, UploadPart, "Permissions", and its error NoSuchUpload.
    """
    place = (store.service.name, store.service.bucket, key.rstrip("/"))
    if place not in ctx.uploads:
        store.check()
        _upload(store, _trial(key))
        ctx.uploads.add(place)


def _upload(store: Store, trial: str) -> None:
    content = b"drillbook"
    try:
        store.put_part(trial, _NO_UPLOAD, 1, content, hashlib.sha256(content).hexdigest())
    except CouldNotVerify as error:
        if is_refused(error):
            raise NotReady(
                f"the access keys of the store {store.service.name} may read but not write objects such as {trial}: {error.message}",
                hint="give these keys the right to write (s3:PutObject), or name other keys in the inventory",
            ) from error


def need_deletable(store: Store, key: str = "", *, version: str = "null") -> None:
    """Check that objects below ``key`` can be deleted permanently.

    The check asks the store to delete the version ``version`` of an object that does not exist. This changes nothing. For a
    bucket without versioning, ``version`` is empty. Raises NotReady when the store refuses the deletion. Another error is
    ignored, because it does not show that a right is missing.
    """
    trial = _trial(key)
    try:
        store.delete_versions([(trial, version)])
    except CouldNotVerify as error:
        if is_refused(error):
            raise NotReady(
                f"the access keys of the store {store.service.name} may not delete objects such as {trial}: {error.message}",
                hint="give these keys the rights s3:DeleteObject and s3:DeleteObjectVersion, or name other keys in the inventory",
            ) from error


def need_target(ctx: Context, store: Store, location: str) -> None:
    """Check that a backup can be written to ``location``, as ``need_writable`` does."""
    need_writable(ctx, store, Reference.parse(location).key)


def _trial(key: str) -> str:
    """Return a new random key below ``key``. No object has this key, so a request for it tries a right and changes nothing."""
    return f"{key.rstrip('/')}/drillbook-right-{secrets.token_hex(8)}".lstrip("/")
