"""Saves and restores a volume of a container. A helper container on the service's host does the work. It is made from the
image of the service's container.

The data goes directly between the host and the store, and never through the controller. The helper container has access to
the volume, but to no network. The image must contain ``sh``, ``tar``, ``find`` and ``sha256sum``, as images of
distributions and of BusyBox do.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from typing import Any

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Undo
from drillbook.sdk.host import Output, printable
from drillbook.systems.docker.client import PROJECT, Place, engine, passing, place, status_of
from drillbook.systems.docker.manifest import Root
from drillbook.systems.docker.undo import tool

# Print the number of entries; a digest of their names, kinds, modes, owners and contents (without files that a restore
# kept); and mode and owner of the volume's top folder. Without `pipefail`, a shell sees only the status of the last program
# of a pipe; so the other programs end the script by a signal when they fail.
_DIGEST = """
export LC_ALL=C
trap 'echo "not all of it could be read" >&2; exit 1' TERM
ok() { "$@" || kill -TERM $$; }
cd /volume || exit 1
each() { ok find . -path './.drillbook-*' -prune -o ! -name . "$@" -print0 | ok sort -z; }
each | ok tr -cd '\\000' | ok wc -c
{ each | ok xargs -0 -r stat -c '%n %F %a %u %g'; each -type f | ok xargs -0 -r sha256sum; } | ok sha256sum
ok stat -c '%a %u %g' .
exit 0
"""
_SAVE = "exec tar -C /volume --numeric-owner -cf - ."
# RUN, with the archive on standard input. Move the old files to `kept`. Once `in` exists, the files in the volume are new,
# and are deleted when `kept` is put back. `was` contains the old mode and owner of the volume's top folder.
_REPLACE = """set -e
cd /volume
p=.drillbook-$1
test ! -e "$p-kept" && test ! -e "$p-in" || exit 3
rm -rf -- "$p-new"
mkdir -m 700 -- "$p-new"
tar -C "$p-new" --numeric-owner -xpf -
stat -c '%u:%g %a' . > "$p-was"
mkdir -m 700 -- "$p-kept"
find . -mindepth 1 -maxdepth 1 ! -name '.drillbook-*' -exec mv -- {} "$p-kept/" \\;
mv -- "$p-new" "$p-in"
find "$p-in" -mindepth 1 -maxdepth 1 -exec mv -- {} . \\;
chown "$(stat -c '%u:%g' "$p-in")" .
chmod "$(stat -c '%a' "$p-in")" .
sync
"""
# RUN: move the files that `_REPLACE` kept back to the top of the volume, and remove the new files. A failing command ends the
# script with the status of this command.
_PUT_BACK = """set -e
cd /volume
p=.drillbook-$1
if test -d "$p-kept"; then
  if test -d "$p-in"; then
    find . -mindepth 1 -maxdepth 1 ! -name '.drillbook-*' -exec rm -rf -- {} +
    rm -rf -- "$p-new"
    mv -- "$p-in" "$p-new"
  fi
  find "$p-kept" -mindepth 1 -maxdepth 1 -exec mv -- {} . \\;
  if test -s "$p-was"; then
    read -r owner mode < "$p-was"
    chown "$owner" .
    chmod "$mode" .
  fi
  rmdir -- "$p-kept"
fi
rm -rf -- "$p-new" "$p-in" "$p-old" "$p-was"
"""
# Move the old files in one step, so that a part of them is never mistaken for all of them.
_FORGET = 'cd /volume && p=.drillbook-$1 && mv -- "$p-kept" "$p-old" && rm -rf -- "$p-old" "$p-in" "$p-new" "$p-was"'
_KEPT, _NONE = "kept", "none"
# RUN: print `kept` if the volume contains a folder of this run, and `none` otherwise. Exit with 1 if the volume is unreadable.
_IS_KEPT = """cd /volume || exit 1
for each in kept new in old was; do
  if test -e ".drillbook-$1-$each"; then echo kept; exit 0; fi
done
echo none
"""
# NAME DOCKER...: remove a helper container that still writes although its `docker run` was killed.
_ALONE = """name=$1; shift
tries=0
while :; do
  "$@" rm --force -- "$name" >/dev/null 2>&1
  left=$("$@" ps --all --quiet --filter "name=^/?$name"'$') || exit 1
  test -n "$left" || exit 0
  tries=$((tries + 1))
  test "$tries" -lt 20 || { echo "the helper container $name does not go away" >&2; exit 1; }
  sleep 0.5
done
"""
_INTO = 'umask 077; to=$1; shift; exec "$@" > "$to"'
_FROM = 'from=$1; shift; exec "$@" < "$from"'


@dataclass(frozen=True, slots=True)
class Digest:
    """Description of a volume's content: the number of its entries, the digest of all entries, and ``root``.

    ``root`` is the mode and the owner of the top folder.
    """

    entries: int
    content: str
    root: Root | None

    def __str__(self) -> str:
        folder = f", its folder {self.root.mode} {self.root.uid}:{self.root.gid}" if self.root else ""
        return f"{self.entries} entries, sha256 {self.content}{folder}"


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume: its name in the engine, the image of the helper container, and the running containers that use the
    volume.

    ``unfit`` gives a reason for each container with this volume that cannot be stopped and started again.
    """

    ctx: Context
    name: str
    image: str
    users: tuple[str, ...]
    unfit: tuple[str, ...] = ()

    @classmethod
    def of(cls, ctx: Context, service: str, wanted: str) -> Volume:
        """Return one volume of a service's container.

        ``wanted``: name of the volume in the engine or in the Compose project, or path in the container. Raises NotReady
        when there is no such volume, or when the service's host does not control the container.
        """
        where = place(ctx, service)
        try:
            with engine(ctx, where) as connection:
                container = connection.container(where.container)
                name = _named(container, wanted)
                every = connection.client.containers.list(filters={"volume": name})
                users = tuple(sorted(each.name for each in every if status_of(each) == "running"))
                unfit = tuple(sorted(why for each in every if (why := _unfit(each))))
        except (CouldNotVerify, StepFailed) as error:
            raise NotReady(error.message, hint=error.hint) from None
        _ruled(ctx, where, container)
        return cls(ctx, name, str(container.attrs["Image"]), users, unfit)

    def must_be_free(self) -> None:
        """Check that every container that uses the volume can be stopped and started again. Raises NotReady otherwise."""
        if self.unfit:
            raise NotReady(
                f"the volume {self.name} cannot be restored: {'; '.join(self.unfit)}",
                hint="before the drill, make sure that each container that uses the volume is either running or stopped",
            )

    def helper(self, script: str, *words: str, write: bool = False) -> tuple[str, ...]:
        """Return the command on the host that runs ``script`` in a helper container."""
        mount = f"{self.name}:/volume" + ("" if write else ":ro")
        named = ("--name", self._writer) if write else ()
        return (
            *tool(self.ctx),
            "run",
            "--rm",
            *named,
            "--interactive",
            "--network",
            "none",
            "--user",
            "0:0",
            "--volume",
            mount,
            "--entrypoint",
            "sh",
            self.image,
            "-c",
            script,
            "sh",
            *words,
        )

    @property
    def _writer(self) -> str:
        """Name of the helper container that writes to the volume.

        The name is always the same for a volume in a run, so that only one such container can exist at a time.
        """
        return f"drillbook-{self.ctx.run_id}-{hashlib.sha256(self.name.encode()).hexdigest()[:12]}"

    def _alone(self) -> tuple[str, ...]:
        """Return a command that removes the helper container ``_writer``. This container may still write to the volume after
        its `docker run` was killed. The command fails if the container cannot be removed.
        """
        return ("sh", "-c", _ALONE, "sh", self._writer, *tool(self.ctx))

    def digest(self) -> Digest:
        """Return the number of entries and the digest of the volume's content, and the permissions and the owner of its
        top folder. Raises StepFailed when the content cannot be read."""
        output = self._do(self.helper(_DIGEST), "its content could not be read")
        match = re.fullmatch(r"\s*(\d+)\s+([0-9a-f]{64})\b.*\n([0-7]+) (\d+) (\d+)\s*", output.text)
        if not match:
            raise StepFailed(f"{self.ctx.host.name}: the volume {self.name}: the helper container printed no digest")
        return Digest(int(match[1]), match[2], Root(mode=match[3], uid=int(match[4]), gid=int(match[5])))

    def save(self, path: str) -> None:
        """Write an archive of the volume to ``path`` on the host.

        Raises StepFailed when the archive cannot be written, or when a file changes during the copy.
        """
        self._do(("sh", "-c", _INTO, "sh", path, *self.helper(_SAVE)), "its content could not be saved to an archive")

    def replace(self, path: str) -> None:
        """Replace the content by the archive at ``path``. The old content is kept in a folder of the volume.

        Raises StepFailed when the content cannot be replaced.
        """
        self._do(self._alone(), "another helper container, which writes to the volume, could not be removed")
        argv = self.helper(_REPLACE, self.ctx.run_id, write=True)
        self._do(("sh", "-c", _FROM, "sh", path, *argv), "the archive could not be extracted")

    def forget(self) -> None:
        """Remove the old content that ``replace`` kept in a folder of the volume.

        Raises StepFailed when the old content cannot be removed.
        """
        self._do(self._alone(), "another helper container, which writes to the volume, could not be removed")
        self._do(self.helper(_FORGET, self.ctx.run_id, write=True), "the old content could not be removed")

    def kept(self) -> bool:
        """Return True while the volume contains the folder of this run's restore. This folder may contain the volume's old
        content, which must then still be put back.

        Raises CouldNotVerify when the volume cannot be examined.
        """
        output = self.ctx.run(*self.helper(_IS_KEPT, self.ctx.run_id))
        said = output.text.strip()
        if not output.ok or said not in (_KEPT, _NONE):
            why = printable(output.stderr.strip(), limit=400)
            raise CouldNotVerify(
                f"{self.ctx.host.name}: the volume {self.name} could not be examined: {why or f'status {output.exit}'}"
            )
        return said == _KEPT

    def undo(self) -> Undo:
        """Return an undo that puts the old content back if the volume still contains it. The containers that use the volume are
        stopped before this, and started again afterwards.
        """
        back, check = self.helper(_PUT_BACK, self.ctx.run_id, write=True), self.helper(_IS_KEPT, self.ctx.run_id)
        start = (*tool(self.ctx), "start", "--", *self.users)
        stop = (*tool(self.ctx), "stop", "--", *self.users)
        lines = [
            f"{shlex.join(self._alone())} || exit 1",
            f"found=$({shlex.join(check)} </dev/null) || exit 1",
            "case $found in",
            f"{_KEPT})",
            *([f"{shlex.join(stop)} || exit 1"] if self.users else []),
            f"{shlex.join(back)} </dev/null || exit 1",
            ";;",
            f"{_NONE}) ;;",
            "*) exit 1 ;;",
            "esac",
        ]
        return Undo.by_commands(("sh", "-c", "\n".join(lines)), *([start] if self.users else []))

    def _do(self, argv: tuple[str, ...], what: str) -> Output:
        output = self.ctx.run(*argv)
        if not output.ok:
            said = printable(output.stderr.strip(), limit=400)
            raise StepFailed(
                f"{self.ctx.host.name}: the volume {self.name}: {what}: {said or f'status {output.exit}'}",
                findings=[finding("step-failed", title=self.name, measured=said)],
            )
        return output


def _named(container: Any, wanted: str) -> str:
    mounts = [mounted for mounted in container.attrs.get("Mounts") or [] if mounted.get("Type") == "volume"]
    project = container.labels.get(PROJECT, "")
    for mount in mounts:
        if wanted in (mount["Name"], mount["Destination"]) or mount["Name"] == f"{project}_{wanted}":
            return str(mount["Name"])
    known = ", ".join(f"{mount['Name']} at {mount['Destination']}" for mount in mounts) or "none"
    raise NotReady(f"{container.name} has no volume {wanted!r}", hint=f"its volumes: {known}")


def _unfit(user: Any) -> str:
    """Return the reason why a container cannot be stopped and started again.

    The result is empty when this is possible, or when the container is stopped already.
    """
    if (status := status_of(user)) in ("paused", "restarting"):
        return f"the container {user.name}, which uses the volume, is {status}"
    return passing(user) if status == "running" else ""


def _ruled(ctx: Context, where: Place, container: Any) -> None:
    seen = ctx.run(*tool(ctx), "inspect", "--type", "container", "--format", "{{.Id}}", "--", where.container)
    if seen.text.strip() != container.id:
        raise NotReady(
            (
                f"{ctx.host.name} has no `docker` command that controls {where.container}, but the volume is copied on "
                "that host"
            ),
            hint="set `host` of the service to the machine on which its engine runs",
        )
