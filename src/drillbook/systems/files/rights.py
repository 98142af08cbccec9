"""Checks, before the drill begins, that the user may read, remove and restore files. The checks change nothing."""

from __future__ import annotations

from drillbook.errors import NotReady
from drillbook.sdk.action import Context

# PATH: succeed when this user may remove PATH from its folder and create another file there.
_PLACE = """
folder=${1%/*}; folder=${folder:-/}
test -d "$folder" || exit 3
test -w "$folder" && test -x "$folder" || exit 4
test "$(id -u)" != 0 && test -k "$folder" && ! test -O "$folder" || exit 0
if test -e "$1" || test -L "$1"; then test "$(stat -c %u -- "$1")" = "$(id -u)" || exit 5; fi
"""
# PATH: print the first entry below PATH whose permissions would prevent deleting it, reading it, or restoring its owner.
_DELETE = 'find "$1" -xdev -type d \\( ! -writable -o ! -executable \\) -print -quit'
_OWN = 'test "$(id -u)" = 0 || find "$1" -xdev ! -user "$(id -u)" -print -quit'
_READ = 'find "$1" -xdev \\( -type d \\( ! -readable -o ! -executable \\) -o -type f ! -readable \\) -print -quit'
# PATH: exit with 3 or 4 if a write would remove file capabilities, or mode bits that this user could not restore (3: nobody
# could; 4: only the owner).
_MODE = """
PATH=$PATH:/usr/sbin:/sbin
if command -v getcap >/dev/null && test -n "$(getcap -- "$1" 2>/dev/null)"; then exit 3; fi
test -O "$1" || test "$(id -u)" = 0 || test "$((0$(stat -L -c %a -- "$1") & 06000))" -eq 0 || exit 4
"""


def need_place(ctx: Context, path: str) -> None:
    """Raise NotReady unless the user may remove ``path`` and create another file at that path."""
    folder = path.rpartition("/")[0] or "/"
    why = {
        3: f"there is no folder {folder}",
        4: f"{folder} cannot be written",
        5: f"{path} belongs to another user, and in {folder} only the owner may remove a file (sticky bit)",
    }
    if said := why.get(ctx.run("sh", "-c", _PLACE, "sh", path).exit or 0):
        raise _refused(ctx, said)


def need_deletable(ctx: Context, path: str) -> None:
    """Raise NotReady unless the user may delete everything in ``path``, and can restore the owners of all files."""
    need_place(ctx, path)
    if unwritable := _first(ctx, _DELETE, path):
        raise _refused(ctx, f"{unwritable} cannot be written")
    if foreign := _first(ctx, _OWN, path):
        raise _refused(ctx, f"{foreign} belongs to another user, and only root can set this owner again")


def need_readable(ctx: Context, path: str) -> None:
    """Raise NotReady unless the user may read everything in ``path``."""
    if unreadable := _first(ctx, _READ, path):
        raise _refused(ctx, f"{unreadable} cannot be read")


def need_writable(ctx: Context, path: str) -> None:
    """Raise NotReady unless the user may write the file ``path``."""
    if not ctx.run("test", "-w", path).ok:
        raise _refused(ctx, f"{path} cannot be written")


def need_mode(ctx: Context, path: str) -> None:
    """Raise NotReady when writing to the file ``path`` would remove capabilities or mode bits that the user cannot restore.

    The kernel removes the capabilities of a file when the file is written to. It also removes the mode bits set-user-id and
    set-group-id when an ordinary user writes. See capabilities(7) and write(2).
    """
    why = {
        3: f"{path} has file capabilities, which a write would remove permanently",
        4: f"{path} is set-user-id or set-group-id and belongs to another user: a write would remove this mode bit permanently",
    }
    if said := why.get(ctx.run("sh", "-c", _MODE, "sh", path).exit or 0):
        raise NotReady(
            f"{ctx.host.name}: {said}", hint=("choose another file, or use `files.replace`, which keeps the original file")
        )


def _first(ctx: Context, script: str, path: str) -> str:
    """Return the first path that ``script`` prints.

    Return an empty text if the script prints no path, or if the host's `find` lacks an option (busybox).
    """
    output = ctx.run("sh", "-c", script, "sh", path)
    return output.text.strip().partition("\n")[0] if output.text.startswith("/") else ""


def _refused(ctx: Context, said: str) -> NotReady:
    user = ctx.run("id", "-un").text.strip() or "this user"
    by = f" by {user}" if said.endswith(("written", "read")) else ""
    return NotReady(f"{ctx.host.name}: {said}{by}", hint="connect as a user with this permission, or grant it to this user")
