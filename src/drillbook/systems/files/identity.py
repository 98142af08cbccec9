"""Identities of files: of files at a path on a host, and of files in an archive."""

from __future__ import annotations

from drillbook.sdk.action import Context
from drillbook.sdk.identity import ANY, Identity, host_place
from drillbook.sdk.object_reference import Reference
from drillbook.systems.files.manifest import Manifest

_MACHINE = 'id=$(cat /etc/machine-id 2>/dev/null); if test -n "$id"; then echo "$id"; else uname -n; fi'


def machine(ctx: Context) -> str:
    """Return the machine id of the step's host. If the host has no machine id, return the name of the host (`uname -n`).

    Raises HostError when the host cannot be used.
    """
    return ctx.run("sh", "-c", _MACHINE).check().text.strip()


def identity(ctx: Context, path: str = ANY) -> Identity:
    """Return the identity of the files at ``path`` on the step's host. ``path`` must be a result of ``resolve``.

    Without ``path``, the identity matches the files at any path on the host. Raises HostError when the host cannot be used.
    """
    at = host_place(ctx.host.name, ctx.hosts)
    return Identity(kind="files", of={"at": at, "machine": machine(ctx), "path": path})


def archived(ctx: Context, manifest: Manifest, origin: Reference) -> Identity:
    """Return the identity of the archived files. ``origin``: location of the archive to which ``manifest`` belongs."""
    known = {"at": host_place(manifest.host, ctx.hosts), "machine": manifest.machine, "path": manifest.path}
    files = Identity(kind="files", of={key: value for key, value in known.items() if value})
    return files.saved(manifest.digest_at(origin))
