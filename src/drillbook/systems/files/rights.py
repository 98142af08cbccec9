"""Rights of the host's user on files, asked before anything runs: to read, to take away, to put back. Changes nothing."""

from __future__ import annotations

from drillbook.errors import NotReady
from drillbook.sdk.action import Context

# PATH: may this user take it out of its folder, and put something there?
_PLACE = """
folder=${1%/*}; folder=${folder:-/}
test -d "$folder" || exit 3
test -w "$folder" && test -x "$folder" || exit 4
test "$(id -u)" != 0 && test -k "$folder" && ! test -O "$folder" || exit 0
if test -e "$1" || test -L "$1"; then test "$(stat -c %u -- "$1")" = "$(id -u)" || exit 5; fi
"""
# PATH: the first thing below it that stands in the way of each: deleting all of it, giving owners back, reading all of it.
_DELETE = 'find "$1" -xdev -type d \\( ! -writable -o ! -executable \\) -print -quit'
_OWN = 'test "$(id -u)" = 0 || find "$1" -xdev ! -user "$(id -u)" -print -quit'
_READ = 'find "$1" -xdev \\( -type d \\( ! -readable -o ! -executable \\) -o -type f ! -readable \\) -print -quit'


def need_place(ctx: Context, path: str) -> None:
    """Raise NotReady unless the user may take ``path`` away, and put something in its place."""
    folder = path.rpartition("/")[0] or "/"
    why = {
        3: f"there is no folder {folder}",
        4: f"{folder} may not be written",
        5: f"{path} belongs to another user, and in {folder} only owners take away what is theirs (sticky bit)",
    }
    if said := why.get(ctx.run("sh", "-c", _PLACE, "sh", path).exit or 0):
        raise _refused(ctx, said)


def need_deletable(ctx: Context, path: str) -> None:
    """Raise NotReady unless the user may delete all of ``path``, and give it back to its owners from an archive."""
    need_place(ctx, path)
    if found := _first(ctx, _DELETE, path):
        raise _refused(ctx, f"{found} may not be written")
    if found := _first(ctx, _OWN, path):
        raise _refused(ctx, f"{found} belongs to another user, and only root could give it back to them")


def need_readable(ctx: Context, path: str) -> None:
    """Raise NotReady unless the user may read all of ``path``."""
    if found := _first(ctx, _READ, path):
        raise _refused(ctx, f"{found} cannot be read")


def need_writable(ctx: Context, path: str) -> None:
    """Raise NotReady unless the user may write the file ``path``."""
    if not ctx.run("test", "-w", path).ok:
        raise _refused(ctx, f"{path} may not be written")


def _first(ctx: Context, script: str, path: str) -> str:
    """The path that ``script`` names; empty when it names none, or its `find` knows no such question (busybox)."""
    output = ctx.run("sh", "-c", script, "sh", path)
    return output.text.strip().partition("\n")[0] if output.text.startswith("/") else ""


def _refused(ctx: Context, said: str) -> NotReady:
    user = ctx.run("id", "-un").text.strip() or "this user"
    by = f" by {user}" if said.endswith(("written", "read")) else ""
    return NotReady(f"{ctx.host.name}: {said}{by}", hint="connect as a user that may, or give this one the right")
