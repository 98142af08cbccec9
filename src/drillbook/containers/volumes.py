"""A volume of a container, saved and brought back by a helper container of the same image on the service's own host.

The bytes go from there to the store and back; the controller never has them. The helper sees the volume and no network. The
image must have ``sh``, ``tar``, ``find`` and ``sha256sum``, as those of distributions and BusyBox have.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook import stored
from drillbook.action import Context, Undo
from drillbook.containers.engine import PROJECT, Place, engine, place, status_of
from drillbook.containers.undo import tool
from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.host import Output
from drillbook.store import Reference, Store
from drillbook.transfer import File
from drillbook.values import canonical

FORMAT: Literal["drillbook/volume-backup/1"] = "drillbook/volume-backup/1"
ARCHIVE: Literal["volume.tar"] = "volume.tar"
# Names, kinds, modes, owners and contents of all but what a restore keeps aside: the number of entries, then a digest.
_DIGEST = """
cd /volume || exit 1
each() { find . -path './.drillbook-*' -prune -o ! -name . "$@" -print0 | LC_ALL=C sort -z; }
each | tr -cd '\\000' | wc -c
{ each | xargs -0 -r stat -c '%n %F %a %u %g'; each -type f | xargs -0 -r sha256sum; } | sha256sum
"""
_SAVE = "exec tar -C /volume --numeric-owner -cf - ."
# RUN, the archive on standard input. What was there is moved to `kept`; from the moment at which `in` is there, what is in
# place is new, and goes when `kept` is put back.
_REPLACE = """set -e
cd /volume
p=.drillbook-$1
test ! -e "$p-kept" && test ! -e "$p-in" || exit 3
rm -rf -- "$p-new"
mkdir -m 700 -- "$p-new"
tar -C "$p-new" --numeric-owner -xpf -
mkdir -m 700 -- "$p-kept"
find . -mindepth 1 -maxdepth 1 ! -name '.drillbook-*' -exec mv -- {} "$p-kept/" \\;
mv -- "$p-new" "$p-in"
find "$p-in" -mindepth 1 -maxdepth 1 -exec mv -- {} . \\;
sync
"""
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
  rmdir -- "$p-kept"
fi
rm -rf -- "$p-new" "$p-in" "$p-old"
"""
# In one step: half of the old files is never taken for all of them.
_FORGET = 'cd /volume && p=.drillbook-$1 && mv -- "$p-kept" "$p-old" && rm -rf -- "$p-old" "$p-in" "$p-new"'
_IS_KEPT = 'test -d "/volume/.drillbook-$1-kept" || test -d "/volume/.drillbook-$1-new"'
_INTO = 'umask 077; to=$1; shift; exec "$@" > "$to"'
_FROM = 'from=$1; shift; exec "$@" < "$from"'


class StoredFile(BaseModel):
    """One file of the backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """Everything about a backup. It is written last: a backup without it is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["drillbook/volume-backup/1"] = FORMAT
    run: str
    service: str
    volume: str
    image: str
    taken_at: str
    entries: Annotated[int, Field(ge=0)]
    content: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    files: dict[Literal["volume.tar"], StoredFile]

    def encoded(self) -> bytes:
        """Its canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    def listed(self) -> list[File]:
        """Its files, for carrying."""
        return [File(name, one.size, one.sha256) for name, one in self.files.items()]


def read(store: Store, origin: Reference) -> Manifest:
    """The manifest of the backup in the folder ``origin``. Raises StepFailed, CouldNotVerify."""
    return stored.read(store, origin.below(stored.FILE), origin.sha256, Manifest, FORMAT)


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume: its name in the engine, the image of the helper, and the containers that use it and run."""

    ctx: Context
    name: str
    image: str
    users: tuple[str, ...]

    @classmethod
    def of(cls, ctx: Context, service: str, wanted: str) -> Volume:
        """The volume ``wanted`` of a service's container, by name, name in its project, or path in the container.

        Raises NotReady when there is none, or when the service's host does not rule the container.
        """
        where = place(ctx, service)
        try:
            with engine(ctx, where) as one:
                container = one.container(where.container)
                name = _named(container, wanted)
                every = one.client.containers.list(filters={"volume": name})
                users = tuple(sorted(each.name for each in every if status_of(each) in ("running", "paused")))
        except (CouldNotVerify, StepFailed) as error:
            raise NotReady(error.message, hint=error.hint) from None
        _ruled(ctx, where, container)
        return cls(ctx, name, str(container.attrs["Image"]), users)

    def helper(self, script: str, *words: str, write: bool = False) -> tuple[str, ...]:
        """The command on the host that runs ``script`` in a helper container."""
        mount = f"{self.name}:/volume" + ("" if write else ":ro")
        return (*tool(self.ctx), "run", "--rm", "--interactive", "--network", "none", "--user", "0:0", "--volume", mount,
                "--entrypoint", "sh", self.image, "-c", script, "sh", *words)

    def digest(self) -> tuple[int, str]:
        """How many entries there are, and the digest of all. Raises StepFailed."""
        output = self._do(self.helper(_DIGEST), "it could not be read")
        count, _, rest = output.text.partition("\n")
        return int(count), rest.split()[0]

    def save(self, path: str) -> None:
        """Write the archive to ``path`` on the host. Raises StepFailed, also when a file changes meanwhile."""
        self._do(("sh", "-c", _INTO, "sh", path, *self.helper(_SAVE)), "it could not be copied")

    def replace(self, path: str) -> None:
        """Put the archive at ``path`` in the place of what is there, which is kept. Raises StepFailed."""
        argv = self.helper(_REPLACE, self.ctx.run_id, write=True)
        self._do(("sh", "-c", _FROM, "sh", path, *argv), "the archive could not be unpacked into it")

    def forget(self) -> None:
        """Remove what was kept. Raises StepFailed."""
        self._do(self.helper(_FORGET, self.ctx.run_id, write=True), "what was kept could not be removed")

    def kept(self) -> bool:
        """Is there something that waits to be put back?"""
        return self.ctx.run(*self.helper(_IS_KEPT, self.ctx.run_id)).ok

    def undo(self) -> Undo:
        """Stop who uses it, put back what is kept, start them; nothing but the start when nothing is kept."""
        back, check = self.helper(_PUT_BACK, self.ctx.run_id, write=True), self.helper(_IS_KEPT, self.ctx.run_id)
        start = (*tool(self.ctx), "start", "--", *self.users)
        stop = (*tool(self.ctx), "stop", "--", *self.users)
        lines = [f"if {shlex.join(check)}; then", *([f"{shlex.join(stop)} || exit 1"] if self.users else []),
                 f"{shlex.join(back)} || exit 1", "fi"]
        return Undo.by_commands(("sh", "-c", "\n".join(lines)), *([start] if self.users else []))

    def _do(self, argv: tuple[str, ...], what: str) -> Output:
        output = self.ctx.run(*argv)
        if not output.ok:
            said = output.stderr.decode("utf-8", "replace").strip()[-400:]
            raise StepFailed(f"{self.ctx.host.name}: the volume {self.name}: {what}: {said or f'status {output.exit}'}",
                             findings=[finding("step-failed", title=self.name, measured=said)])
        return output


def _named(container: Any, wanted: str) -> str:
    mounts = [one for one in container.attrs.get("Mounts") or [] if one.get("Type") == "volume"]
    project = container.labels.get(PROJECT, "")
    for one in mounts:
        if wanted in (one["Name"], one["Destination"]) or one["Name"] == f"{project}_{wanted}":
            return str(one["Name"])
    known = ", ".join(f"{one['Name']} at {one['Destination']}" for one in mounts) or "none"
    raise NotReady(f"{container.name} has no volume {wanted!r}", hint=f"it has: {known}")


def _ruled(ctx: Context, where: Place, container: Any) -> None:
    seen = ctx.run(*tool(ctx), "inspect", "--type", "container", "--format", "{{.Id}}", "--", where.container)
    if seen.text.strip() != container.id:
        raise NotReady(f"{ctx.host.name} has no `docker` that rules {where.container}, and the volume is copied from there",
                       hint="let `host` of the service be a machine of that engine")
