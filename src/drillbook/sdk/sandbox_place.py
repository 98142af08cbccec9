"""Checks that the folder of a sandbox is not inside a folder with backups or with the data of a server.

Folders are compared by device and inode, and by their path within the mounted file system. Links to a production folder and
bind mounts of it are therefore recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from drillbook.sdk.host import Target
from drillbook.sdk.identity import address_of
from drillbook.sdk.isolation import Isolation
from drillbook.sdk.service import Service, is_sandbox

# FOLDER PATH...: print each PATH that would contain FOLDER.
_WITHIN = """
folder=$1
shift
# PATH: print the device, and the path from the root of its file system.
place() {
  real=$(cd -P -- "$1" 2>/dev/null && pwd -P) || return 1
  # shellcheck disable=SC2046 # three words
  set -- $(findmnt -rno MAJ:MIN,FSROOT,TARGET --target "$real" 2>/dev/null | tail -n 1)
  test $# = 3 || return 1
  rest=${real#"${3%/}"}
  echo "$1 ${2%/}$rest"
}
parent=$(cd -P -- "$(dirname -- "$folder")" 2>/dev/null && pwd -P) || exit 0
above=$parent
inodes=
while :; do
  inodes="$inodes $(stat -c %d:%i -- "$above")"
  test "$above" != / || break
  above=$(dirname -- "$above")
done
here=$(place "$parent")
for path in "$@"; do
  test -d "$path" || continue
  case " $inodes " in *" $(stat -Lc %d:%i -- "$path") "*) echo "$path"; continue ;; esac
  there=$(place "$path") || continue
  case "$here/" in "${there%/}"/*) echo "$path" ;; esac
done
"""


def looking(isolation: Isolation, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command that prints those folders in ``paths`` inside of which the sandbox's folder is, or would be when
    created.
    """
    return isolation.as_user(("sh", "-c", _WITHIN, "sh", isolation.folder, *paths))


def of_production(services: Mapping[str, Service], hosts: Mapping[str, Target], host: str) -> tuple[str, ...]:
    """Return the folders on ``host`` that contain backups or the data of servers."""
    return tuple(sorted(set(_folders(services, hosts, host))))


def _folders(services: Mapping[str, Service], hosts: Mapping[str, Target], host: str) -> Iterator[str]:
    for service in services.values():
        if not is_sandbox(service):
            yield from (kept.path for kept in service.kept_in if address_of(kept.host, hosts) == address_of(host, hosts))
