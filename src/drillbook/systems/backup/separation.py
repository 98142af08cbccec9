"""Finds out if backups are on another host or file system than the data that they save.

A backup on the same disk as the data is lost together with the data.
"""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.sdk.action import Context
from drillbook.sdk.backup_source import BackupSource
from drillbook.sdk.host import printable
from drillbook.sdk.identity import host_place
from drillbook.sdk.service import S3, Service

# PATH...: print the file system of each path: its device and number; a pattern or a missing part is left out of the path.
_LOOK = r"""
for path in "$@"; do
  while test ! -e "$path" && test "$path" != /; do path=$(dirname -- "$path"); done
  device=$(df -P -- "$path" | awk 'NR > 1 { print $1; exit }')
  printf '%s %s\n' "$(stat -L -c %d -- "$path")" "$device"
done
"""


@dataclass(frozen=True, slots=True)
class Separation:
    """Answer to the question whether the backups are stored separately from the data of their service.

    ``apart``: True if they are stored separately, False if not, None if this is unknown. ``why``: the reason as a text.
    """

    apart: bool | None
    why: str

    def __str__(self) -> str:
        return f"{'unknown' if self.apart is None else 'yes' if self.apart else 'no'}: {self.why}"


def separation(ctx: Context, source: BackupSource) -> Separation:
    """Compare the place of the backups with the place of their service's data. Raises HostError when the host cannot be used."""
    service = ctx.services.get(source.service)
    if service is None:
        return Separation(None, "the backup source names no service")
    holder, paths = _place(ctx, source)
    if not holder:
        return Separation(None, "the inventory does not tell on which host the backups are")
    if host_place(holder, ctx.hosts) != host_place(service.host, ctx.hosts):
        return Separation(True, f"the backups are on {holder}, and {service.name} on {service.host}")
    if not paths or not service.data:
        return Separation(False, f"the backups are on {holder}, the host of {service.name}")
    return _on_host(ctx, service, paths[0])


def _place(ctx: Context, source: BackupSource) -> tuple[str, tuple[str, ...]]:
    """Return the name of the host of the backups, and their paths on this host. The name is empty when it is unknown."""
    if kept := source.kept_in:
        return kept[0].host, tuple(place.path for place in kept)
    at = getattr(source, "at", "")
    if not isinstance(at, str):
        return "", ()
    kind, _, rest = at.partition("://")
    first = rest.partition("/")[0]
    stores = [service for service in ctx.services.values() if isinstance(service, S3) and service.bucket == first]
    return (stores[0].host, ()) if kind == "s3" and len(stores) == 1 else ("", ())


def _on_host(ctx: Context, service: Service, path: str) -> Separation:
    """Compare the file system of the backups with that of the data. The backups and the data are on the host of ``service``."""
    host = ctx.host_named(service.host)
    output = host.run(("sh", "-c", _LOOK, "sh", path, service.data), deadline=ctx.deadline, env={"LC_ALL": "C"})
    lines = [line.split(" ", 1) for line in output.text.splitlines()]
    if not output.ok or len(lines) != 2 or any(len(line) != 2 for line in lines):
        return Separation(None, f"the file systems of {path} and {service.data} could not be determined on {host.name}")
    (number, device), (other, of_data) = lines
    if number == other or device == of_data:
        said = printable(device, limit=100)
        return Separation(False, f"{path} and {service.data} are on one file system of {host.name}: {said}")
    return Separation(True, f"{path} and {service.data} are on two file systems of {host.name}")
