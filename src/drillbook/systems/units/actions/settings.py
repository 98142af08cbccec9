"""Settings of a service in its env file: wrong ones, good ones back, others as a remedy. Values are never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk import nofollow
from drillbook.sdk.action import Action, Context, Facts, Fault, Undo, Write
from drillbook.sdk.answers import Answer
from drillbook.sdk.manager import UnitState, manager_of
from drillbook.sdk.service import Http
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.files import archives
from drillbook.systems.linux import swap
from drillbook.systems.linux.target import as_root, need

LIMIT = 64 << 10
"""Bytes of an env file that is changed; a larger one is refused."""
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=")
# KEPT PID: remember the process that reads the changed file, by its number and its start.
_REMEMBER = (
    nofollow.WALK
    + """
enter "${1%/*}" && hold "${1##*/}" || exit 1
printf "%s %s\\n" "$2" "$(sed "s/.*) //" "/proc/$2/stat" | cut -d " " -f 20)" > ./reader
"""
)
# KEPT PATH COMMAND...: note that the unit must be restarted: where the process lives that read the changed file, or where
# the unit's own, whose number COMMAND prints, is not known to have begun after the file that is there now took its place.
# Its manager may have started the unit anew with the changed file; then a restore put another there, and nobody restarted
# the unit. When the file took its place is told by its inode's change, to a clock tick; a process that began within 0.05 s
# of it is taken for older. A link, whose own change tells nothing, is too.
_FIND_STALE = (
    nofollow.WALK
    + """
kept=$1 path=../${2##*/}; shift 2
running=$("$@" 2>/dev/null) || running=
enter "${kept%/*}" && hold "${kept##*/}" && test ! -e ./back || exit 0
export LC_ALL=C
begun() { sed "s/.*) //" "/proc/$1/stat" 2>/dev/null | cut -d " " -f 20; }
newer() {
  start=$(begun "$1") hz=$(getconf CLK_TCK) changed=$(stat -c %.3Z -- "$path")
  now=$(date +%s.%N)
  read -r up _ < /proc/uptime
  for one in "$start" "$hz" "$now" "$up" "$changed"; do
    case $one in ''|*[!0-9.]*) return 1 ;; esac
  done
  awk "BEGIN { exit !($now - $up + $start / $hz > $changed + 0.05) }"
}
if read -r pid start 2>/dev/null < ./reader && test -n "$start" && test "$(begun "$pid")" = "$start"; then
  : > ./back; exit
fi
test -n "$running" && test ! -L "$path" && newer "$running" || : > ./back
"""
)
# KEPT COMMAND...: stop the unit where the original came back, or it was found to be stale.
_STOP_IF_STALE = (
    nofollow.WALK
    + """
(enter "${1%/*}" && hold "${1##*/}" && test -e ./back) || exit 0
shift
"$@" || true
"""
)
# KEPT COMMAND...: start the unit, which ran before the change, or one that was stopped with it, unless there was no change.
_START = nofollow.WALK + '(enter "${1%/*}" && hold "${1##*/}") || exit 0; shift; "$@"'
_OPENED = (
    nofollow.WALK
    + """
read_() { # reads the file that was opened as descriptor 3
  test -f /proc/self/fd/3 && grasped "./$it" || refuse "$it was changed meanwhile"
  "$@"
}
"""
)
# PATH BYTES: the beginning of a file.
_HEAD = (
    _OPENED
    + """
walk "$1" last && test -f "./$it" || exit 1
read_ head -c "$2" /proc/self/fd/3 3< "./$it"
"""
)
# FROM TO [DIGEST]: a copy with the same owner and permissions takes the place of TO at once, when it is on the disk whole.
# It is made in a folder of its own beside TO, which nobody else may enter.
_COPY = (
    _OPENED
    + """
copy() {
  enter "${1%/*}" || exit 5
  to=${1##*/} new=${1##*/}.drillbook-new
  test -d "./$new" || rm -f -- "./$new"
  ! hold "$new" || drop || exit 5
  trap 'cd -P .. && rm -rf -- "./$new"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  mkdir -m 700 -- "./$new" && hold "$new" || exit 5
  file=/proc/self/fd/3
  cp -p -- "$file" ./is && cmp -s -- "$file" ./is || exit 5
  test -z "${2-}" || test "$(sha256sum < ./is | cut -c 1-64)" = "$2" || exit 4
  sync -f ./is 2>/dev/null || sync || exit 5
  sum=$(sha256sum < ./is)
  mv -fT -- ./is "../$to" || exit 5
  printf '%s\\n' "${sum%% *}"
}
it=${1##*/}
enter "${1%/*}" && test ! -L "./$it" && test -f "./$it" || exit 3
shift
read_ copy "$@" 3< "./$it"
"""
)
# PATH [copy]: removes what a broken attempt left beside PATH, and the copy PATH itself.
_FORGET = (
    nofollow.WALK
    + """
enter "${1%/*}" || exit 0
it=${1##*/}
test -z "${2-}" || rm -f -- "./$it" || exit 1
new=$it.drillbook-new
test -d "./$new" || rm -f -- "./$new"
! hold "$new" || drop
"""
)

ServiceName = Annotated[str, Field(description="Service of kind http that has an `env_file` in the inventory.")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Value = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./:@%+,=-]*$", max_length=1000)]


def _file(ctx: Context, name: str) -> str:
    """Path of the service's env file on its host. Raises NotReady."""
    path = ctx.service(name, Http).env_file
    if not path:
        raise NotReady(
            f"the service {name!r} names no `env_file` in the inventory",
            hint="add `env_file:` with the path of the file that it reads at its start",
        )
    return path


def _text(ctx: Context, path: str) -> str:
    """What stands in the env file. Raises NotReady."""
    data = _bytes(ctx, path)
    if data is None:
        raise NotReady(
            f"{ctx.host.name}: {path} cannot be read",
            hint="correct `env_file` in the inventory, or run as a user who may read it",
        )
    if len(data) > LIMIT:
        raise NotReady(f"{ctx.host.name}: {path} is larger than {LIMIT >> 10} KiB; is it an env file?")
    return data.decode("utf-8", "surrogateescape")


def _bytes(ctx: Context, path: str) -> bytes | None:
    """The beginning of a file, which no journal sees; None when it cannot be read."""
    sink = Answer(f"{ctx.host.name}: {path}", LIMIT + 1)
    done = ctx.run(*as_root(ctx), "sh", "-c", _HEAD, "sh", path, str(LIMIT + 1), sink=sink)
    nofollow.refuse(ctx, done)
    return sink.getvalue() if done.ok else None


def changed(text: str, remove: Sequence[str], values: Mapping[str, str]) -> str:
    """The text of an env file without the variables ``remove``, and with ``values`` in place of those it had."""
    gone = {*remove, *values}
    lines = [line for line in text.splitlines() if (found := _LINE.match(line)) is None or found[1] not in gone]
    return "".join(f"{line}\n" for line in [*lines, *(f"{name}={value}" for name, value in values.items())])


class _Settings(Action):
    """What changes of settings share: the file with other variables, the unit that reads it, and the way back."""

    UNDO: ClassVar[tuple[str, ...]] = ("commands",)

    service: ServiceName
    remove: Annotated[tuple[Variable, ...], Field(description="Names of variables that are taken out.")] = ()
    values: Annotated[
        dict[Variable, Value], Field(alias="set", description="Variables with their new values; no secrets.")
    ] = Field(default_factory=dict)
    restart: Annotated[bool, Field(description="Restart the service's unit, so that it reads the file.")] = True

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.remove and not self.values:
            raise ValueError("say what changes: `remove`, `set`, or both")
        return self

    def _unit(self, ctx: Context) -> str:
        return ctx.service(self.service, Http).unit if self.restart else ""

    def ready(self, ctx: Context) -> None:
        """The file must be there, hold what is taken out, and be in a folder that may be written; the unit must run."""
        need(ctx, "cmp", "sha256sum", "cp", "ln", "mv")
        path = _file(ctx, self.service)
        names = {found[1] for line in _text(ctx, path).splitlines() if (found := _LINE.match(line))}
        if missing := sorted(set(self.remove) - names):
            raise NotReady(
                f"{ctx.host.name}: {path} has no variable {', '.join(missing)}, which is to be taken out",
                hint="name one that it has, or find out who took it out",
            )
        if not ctx.run(*as_root(ctx), "sh", "-c", 'test -w "${1%/*}"', "sh", path).ok:
            raise NotReady(f"{ctx.host.name}: {path} is in a folder that may not be written", hint="run as its owner")
        if self.restart:
            self._need_running(ctx)

    def _need_running(self, ctx: Context) -> None:
        unit = self._unit(ctx)
        if not unit:
            raise NotReady(
                f"the service {self.service!r} names no `unit` in the inventory, so it cannot be restarted",
                hint="add `unit:` to the service, or say `restart: false`",
            )
        try:
            seen = manager_of(ctx.host).state(ctx.host, unit, ctx.deadline)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None
        if seen.state != "running":
            raise NotReady(
                f"{ctx.host.name}: {unit} is {seen.word} before the drill; it must run",
                hint=f"start the unit {unit} and find out why it was down",
            )

    def _kept(self, ctx: Context, path: str) -> str:
        return f"{path}{archives.own_mark(ctx)}-{ctx.step}-settings"

    def _swapped(self, ctx: Context) -> Facts:
        """Put the changed file in the place of the original, which stays beside it. Raises StepFailed."""
        path = _file(ctx, self.service)
        text = changed(_text(ctx, path), self.remove, self.values)
        output = ctx.run(
            *as_root(ctx),
            "sh",
            "-c",
            swap.REPLACE,
            "sh",
            path,
            self._kept(ctx, path),
            stdin=text.encode("utf-8", "surrogateescape"),
        )
        nofollow.refuse(ctx, output)
        if output.exit in swap.REFUSED:
            raise StepFailed(f"{ctx.host.name}: {path} {swap.REFUSED[output.exit]}; nothing was changed")
        was, now = output.check().text.split()
        return {"file": path, "was": was, "is": now, "names": [*self.remove, *self.values]}

    def _remember(self, ctx: Context, seen: UnitState) -> None:
        """Write down who has read the changed file, for the undo; one that ended at once needs none of it."""
        if seen.pid:
            kept = self._kept(ctx, _file(ctx, self.service))
            ctx.run(*as_root(ctx), "sh", "-c", _REMEMBER, "sh", kept, str(seen.pid))

    def undo(self, ctx: Context) -> Undo:
        """The original takes its place again; a unit that ended, or may still run with the changed file, is restarted."""
        path = _file(ctx, self.service)
        kept, root, commands = self._kept(ctx, path), as_root(ctx), []
        if unit := self._unit(ctx):
            manager = manager_of(ctx.host)
            commands = [
                (*root, "sh", "-c", _FIND_STALE, "sh", kept, path, *manager.main(unit)),
                (*root, "sh", "-c", _STOP_IF_STALE, "sh", kept, *manager.stop(unit)),
                *((*root, "sh", "-c", _START, "sh", kept, *argv) for argv in manager.back(ctx.host, unit, ctx.deadline)),
            ]
        return Undo.by_commands(
            (*root, "sh", "-c", swap.RETURN, "sh", path, kept), *commands, (*root, "sh", "-c", swap.DROP, "sh", kept)
        )

    def active(self, ctx: Context) -> bool:
        """True while the changed file is there, or the original still beside it."""
        path = _file(ctx, self.service)
        return ctx.run(*as_root(ctx), "sh", "-c", swap.STILL, "sh", path, self._kept(ctx, path)).ok


class Change(_Settings, Fault):
    """Change variables in a service's env file or take them out, and restart it, as a wrong deployment does.

    The file keeps owner and permissions; the original stays beside it and takes its place again. What a restore puts
    there meanwhile, as a file of its own, stays, and the unit is restarted if nobody did that. Whether the service comes up
    with such settings is part of the fault.
    """

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``file``, ``was`` and ``is`` (SHA-256 before and now), ``names``, ``word`` (the unit's state then)."""
        facts = self._swapped(ctx)
        if unit := self._unit(ctx):
            manager = manager_of(ctx.host)
            starts = manager.back(ctx.host, unit, ctx.deadline)
            manager.ensure(ctx.host, unit, "stopped", ctx.deadline)
            for argv in starts:
                ctx.run(*argv)
            seen = manager.state(ctx.host, unit, ctx.deadline)
            self._remember(ctx, seen)
            facts["word"] = seen.word
        return facts


class Apply(_Settings, Write):
    """Give a service other settings for the time of the drill, as a remedy: a larger pool, more workers; and restart it.

    The unit must come up with them. At the end of the drill, or when its controller dies, the file that was there takes its
    place again, as with `settings.change`, and the unit is restarted; unless a `cleanup` has put other settings there, which
    stay. That restart comes after `verify`: the drill passes only when its probes are good again after it. Whether the
    service really works with the new settings is for `verify` to show.
    """

    LEASED = True

    def run(self, ctx: Context) -> Facts:
        """Facts: ``file``, ``was`` and ``is`` (SHA-256 before and now), ``names``, ``pid`` (of the unit, restarted)."""
        facts = self._swapped(ctx)
        if unit := self._unit(ctx):
            seen = manager_of(ctx.host).restart(ctx.host, unit, ctx.deadline)
            self._remember(ctx, seen)
            facts["pid"] = seen.pid
        return facts


class Keep(Write):
    """Keep a copy of a service's env file beside it, as private as itself, for the time of the drill."""

    UNDO = ("commands",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """The file must be there."""
        need(ctx, "cmp", "sha256sum", "cp", "mv")
        _text(ctx, _file(ctx, self.service))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``kept`` (the copy's path on the host), ``sha256``."""
        path = _file(ctx, self.service)
        output = ctx.run(*as_root(ctx), "sh", "-c", _COPY, "sh", path, self._copy(ctx, path))
        nofollow.refuse(ctx, output)
        if output.exit in (3, 5):
            said = "is no ordinary file" if output.exit == 3 else "cannot be copied beside itself"
            raise StepFailed(f"{ctx.host.name}: {path} {said}")
        return {"kept": self._copy(ctx, path), "sha256": output.check().text}

    def _copy(self, ctx: Context, path: str) -> str:
        return f"{path}{archives.own_mark(ctx)}-{ctx.step}-copy"

    def undo(self, ctx: Context) -> Undo:
        """Remove the copy."""
        path = self._copy(ctx, _file(ctx, self.service))
        return Undo.by_commands((*as_root(ctx), "sh", "-c", _FORGET, "sh", path, "copy"))

    def active(self, ctx: Context) -> bool:
        """True while the copy is there."""
        return ctx.run(*as_root(ctx), "test", "-e", self._copy(ctx, _file(ctx, self.service))).ok


class PutBack(Write):
    """Put the kept copy of a service's env file in its place again; restart the service for it to be read."""

    UNDO = ("commands",)

    service: ServiceName
    copy_: Annotated[str, Field(alias="from", pattern=r"^/", description="The `kept` that `settings.keep` gave.")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="The `sha256` that it gave.")]

    def ready(self, ctx: Context) -> None:
        """The service must have an env file."""
        need(ctx, "cmp", "sha256sum", "cp", "mv")
        _file(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``file``, ``sha256``. Fails, and changes nothing, when the copy is not what was kept."""
        path = _file(ctx, self.service)
        found = _bytes(ctx, self.copy_)
        if found is None:
            raise StepFailed(f"{ctx.host.name}: {self.copy_} cannot be read")
        if sha256(found) != self.sha256:
            raise StepFailed(f"{ctx.host.name}: {self.copy_} is not what was kept; nothing was changed")
        output = ctx.run(*as_root(ctx), "sh", "-c", _COPY, "sh", self.copy_, path, self.sha256)
        nofollow.refuse(ctx, output)
        if output.exit == 4:
            raise StepFailed(f"{ctx.host.name}: {self.copy_} changed while it was put back; nothing was changed")
        if output.exit in (3, 5):
            raise StepFailed(f"{ctx.host.name}: {path} cannot be written whole; nothing was changed")
        now = output.check().text
        if now != self.sha256:
            raise StepFailed(f"{ctx.host.name}: {path} is not what was kept, though it was put back; who writes there?")
        return {"file": path, "sha256": now}

    def undo(self, ctx: Context) -> Undo:
        """The good settings are kept; what a broken attempt left beside them goes."""
        return Undo.by_commands((*as_root(ctx), "sh", "-c", _FORGET, "sh", _file(ctx, self.service)))

    def active(self, ctx: Context) -> bool:
        """True while there is an unfinished file beside the settings."""
        return ctx.run(*as_root(ctx), "test", "-e", f"{_file(ctx, self.service)}.drillbook-new").ok
