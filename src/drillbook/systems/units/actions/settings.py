"""Actions that change, copy and restore a service's env file, as a fault or a remedy. Values are never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk import nofollow
from drillbook.sdk.action import Action, Context, Facts, Fault, Undo, Write
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.manager import UnitState, manager_of
from drillbook.sdk.manager.right import need_right
from drillbook.sdk.service import Http
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.files import archives
from drillbook.systems.linux import swap
from drillbook.systems.linux.process_lookup import need
from drillbook.systems.linux.process_selection import as_root

LIMIT = 64 << 10
"""Maximum size in bytes of an env file that may be changed."""
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=")
# KEPT PID: record which process read the changed file, by its pid and start time.
_REMEMBER = (
    nofollow.WALK
    + """
enter "${1%/*}" && hold "${1##*/}" || exit 1
printf "%s %s\\n" "$2" "$(sed "s/.*) //" "/proc/$2/stat" | cut -d " " -f 20)" > ./reader
"""
)
# KEPT PATH COMMAND...: note that the unit needs a restart if the process that read the changed file is still alive, or if it is
# not certain that the unit's main process (COMMAND prints its pid) started after the present file was put at PATH: the manager
# may have restarted the unit with the changed file before a restore replaced it. The inode's change time tells when the file
# was replaced; a process that started within 0.05 s of that time counts as older, and if the path is a link, every process.
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
# KEPT COMMAND...: run COMMAND, which stops the unit, if the file KEPT/back notes that a restart is needed. Always exits with 0.
_STOP_IF_STALE = (
    nofollow.WALK
    + """
(enter "${1%/*}" && hold "${1##*/}" && test -e ./back) || exit 0
shift
"$@" || true
"""
)
# KEPT COMMAND...: run COMMAND, which starts the unit, and exit with its status. If KEPT does not exist, exit with 0.
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
# PATH BYTES: print the beginning of a file.
_HEAD = (
    _OPENED
    + """
walk "$1" last && test -f "./$it" || exit 1
read_ head -c "$2" /proc/self/fd/3 3< "./$it"
"""
)
# FROM TO [DIGEST]: replace TO by a copy with the same owner and permissions, in one step, once the copy is complete on disk.
# The copy is made in a new folder next to TO, which nobody else may enter.
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
# PATH [copy]: remove the files that a failed attempt left next to PATH; with `copy` also PATH itself.
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
    """Return the path of the service's env file on its host. Raises NotReady when the inventory contains no such path."""
    path = ctx.service(name, Http).env_file
    if not path:
        raise NotReady(
            f"the service {name!r} has no `env_file` in the inventory",
            hint="set `env_file` of the service to the path of the file that the service reads when it starts",
        )
    return path


def _text(ctx: Context, path: str) -> str:
    """Return the content of the env file. Raises NotReady when it cannot be read, or is larger than ``LIMIT``."""
    data = _bytes(ctx, path)
    if data is None:
        raise NotReady(
            f"{ctx.host.name}: {path} cannot be read",
            hint="correct `env_file` in the inventory, or connect as a user who may read that file",
        )
    if len(data) > LIMIT:
        raise NotReady(f"{ctx.host.name}: {path} is larger than the limit of {LIMIT >> 10} KiB", hint="correct `env_file`")
    return data.decode("utf-8", "surrogateescape")


def _bytes(ctx: Context, path: str) -> bytes | None:
    """Return the beginning of a file, or None when the file cannot be read. The content is never written to the journal."""
    sink = Answer(f"{ctx.host.name}: {path}", LIMIT + 1)
    done = ctx.run(*as_root(ctx), "sh", "-c", _HEAD, "sh", path, str(LIMIT + 1), sink=sink)
    nofollow.refuse(ctx, done)
    return sink.getvalue() if done.ok else None


def changed(text: str, remove: Sequence[str], values: Mapping[str, str]) -> str:
    """Return the text of an env file without the variables in ``remove``, and with the variables in ``values`` set."""
    gone = {*remove, *values}
    lines = [line for line in text.splitlines() if (match := _LINE.match(line)) is None or match[1] not in gone]
    return "".join(f"{line}\n" for line in [*lines, *(f"{name}={value}" for name, value in values.items())])


class _Settings(Action):
    """Base of actions that replace the env file and restart the unit. The undo reverts both changes."""

    UNDO: ClassVar[tuple[str, ...]] = ("commands",)

    service: ServiceName
    remove: Annotated[tuple[Variable, ...], Field(description="Names of variables to remove.")] = ()
    values: Annotated[
        dict[Variable, Value], Field(alias="set", description="Variables to set, with their new values; no secrets.")
    ] = Field(default_factory=dict)
    restart: Annotated[bool, Field(description="Restart the service's unit, so that it reads the changed file.")] = True

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.remove and not self.values:
            raise ValueError("set `remove`, `set`, or both")
        return self

    def _unit(self, ctx: Context) -> str:
        return ctx.service(self.service, Http).unit if self.restart else ""

    def ready(self, ctx: Context) -> None:
        """Check that the unit runs, the file has the variables to remove, and the folder of the file is writable."""
        need(ctx, "cmp", "sha256sum", "cp", "ln", "mv")
        path = _file(ctx, self.service)
        names = {match[1] for line in _text(ctx, path).splitlines() if (match := _LINE.match(line))}
        if missing := sorted(set(self.remove) - names):
            raise NotReady(
                f"{ctx.host.name}: {path} has no variable {', '.join(missing)} to remove",
                hint="name an existing variable, or find out what removed this variable",
            )
        if not ctx.run(*as_root(ctx), "sh", "-c", 'test -w "${1%/*}"', "sh", path).ok:
            raise NotReady(
                f"{ctx.host.name}: {path} is in a folder that is not writable", hint="connect as the owner of the folder"
            )
        if self.restart:
            self._need_running(ctx)

    def _need_running(self, ctx: Context) -> None:
        if not (unit := self._unit(ctx)):
            raise NotReady(
                f"the service {self.service!r} has no `unit` in the inventory, so it cannot be restarted",
                hint="set `unit` of the service, or write `restart: false`",
            )
        try:
            seen = manager_of(ctx.host).state(ctx.host, unit, ctx.deadline)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None
        if seen.state != "running":
            raise NotReady(
                f"{ctx.host.name}: {unit} is {seen.word} before the drill, but it must run",
                hint=f"start the unit {unit} and find out why it was down",
            )
        need_right(ctx, unit)

    def _kept(self, ctx: Context, path: str) -> str:
        return f"{path}{archives.own_mark(ctx)}-{ctx.step}-settings"

    def _swapped(self, ctx: Context) -> Facts:
        """Replace the env file, and keep the original in the same folder. Returns the facts. Raises StepFailed when this fails."""
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
        """Record for the undo the pid of the process that read the changed file. Record nothing if the unit exited at once."""
        if seen.pid:
            ctx.run(*as_root(ctx), "sh", "-c", _REMEMBER, "sh", self._kept(ctx, _file(ctx, self.service)), str(seen.pid))

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that puts the original file back. If a new file, such as a restored one, is in its place, the undo
        keeps the new file. The undo also restarts a unit that has failed, or that may still use the changed file."""
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
        """Return True while this run's folder with the original env file exists."""
        path = _file(ctx, self.service)
        return ctx.run(*as_root(ctx), "sh", "-c", swap.STILL, "sh", path, self._kept(ctx, path)).ok


class Change(_Settings, Fault):
    """Change or remove variables in a service's env file and restart its unit, as a wrong deployment does.

    The file keeps its owner and permissions. The original is kept in the same folder, and the undo puts it back. There is one
    exception: if a restore has put a new file there, the undo keeps the new file. The undo then restarts the unit if the unit
    does not use the new file yet. The step does not fail if the service does not start with the changed settings.
    """

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``file`` (path), ``was`` and ``is`` (SHA-256 before and after), ``names``, ``word`` (state of the unit)."""
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
    """Change settings of a service until the drill ends, as a remedy (a larger pool, more workers), and restart it.

    The unit must start with these settings. Use the phase `verify` to check that they really work. After that, or when the
    controller dies, the original file is restored as with `settings.change`, unless a step of `cleanup` has written an env
    file. Then the unit is restarted. The drill passes only if its probes are good again after this restart.
    """

    LEASED = True

    def run(self, ctx: Context) -> Facts:
        """Facts: ``file`` (path), ``was`` and ``is`` (SHA-256 before and after), ``names``, ``pid`` of the unit."""
        facts = self._swapped(ctx)
        if unit := self._unit(ctx):
            seen = manager_of(ctx.host).restart(ctx.host, unit, ctx.deadline)
            self._remember(ctx, seen)
            facts["pid"] = seen.pid
        return facts


class Keep(Write):
    """Copy a service's env file within its folder, with the same permissions. The copy is kept until the drill ends."""

    UNDO = ("commands",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the env file exists."""
        need(ctx, "cmp", "sha256sum", "cp", "mv")
        _text(ctx, _file(ctx, self.service))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``kept`` (path of the copy on the host), ``sha256`` of the content."""
        path = _file(ctx, self.service)
        output = ctx.run(*as_root(ctx), "sh", "-c", _COPY, "sh", path, self._copy(ctx, path))
        nofollow.refuse(ctx, output)
        if output.exit in (3, 5):
            said = "is not an ordinary file" if output.exit == 3 else "cannot be copied within its folder"
            raise StepFailed(f"{ctx.host.name}: {path} {said}")
        return {"kept": self._copy(ctx, path), "sha256": output.check().text}

    def _copy(self, ctx: Context, path: str) -> str:
        return f"{path}{archives.own_mark(ctx)}-{ctx.step}-copy"

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes the copy which this step made."""
        path = self._copy(ctx, _file(ctx, self.service))
        return Undo.by_commands((*as_root(ctx), "sh", "-c", _FORGET, "sh", path, "copy"))

    def active(self, ctx: Context) -> bool:
        """Return True while the copy of the env file exists."""
        return ctx.run(*as_root(ctx), "test", "-e", self._copy(ctx, _file(ctx, self.service))).ok


class PutBack(Write):
    """Restore a service's env file from the kept copy. The service uses the restored file only after a restart."""

    UNDO = ("commands",)

    service: ServiceName
    copy_: Annotated[str, Field(alias="from", pattern=r"^/", description="Fact `kept` of the step `settings.keep`.")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Fact `sha256` of the step `settings.keep`.")]

    def ready(self, ctx: Context) -> None:
        """Check that the service has an env file."""
        need(ctx, "cmp", "sha256sum", "cp", "mv")
        _file(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``file`` (its path), ``sha256``. If the copy was modified, the step fails and changes nothing."""
        path = _file(ctx, self.service)
        kept = _bytes(ctx, self.copy_)
        if kept is None:
            raise StepFailed(f"{ctx.host.name}: {self.copy_} cannot be read")
        if sha256(kept) != self.sha256:
            raise StepFailed(f"{ctx.host.name}: {self.copy_} differs from the kept copy; nothing was changed")
        output = ctx.run(*as_root(ctx), "sh", "-c", _COPY, "sh", self.copy_, path, self.sha256)
        nofollow.refuse(ctx, output)
        if output.exit == 4:
            raise StepFailed(f"{ctx.host.name}: {self.copy_} changed during the restore; the env file was not changed")
        if output.exit in (3, 5):
            raise StepFailed(f"{ctx.host.name}: {path} cannot be written completely; nothing was changed")
        now = output.check().text
        if now != self.sha256:
            raise StepFailed(
                f"{ctx.host.name}: {path} was changed right after the restore; find out which program writes it"
            )
        return {"file": path, "sha256": now}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes the unfinished file which a failed attempt left. Restored settings are kept."""
        return Undo.by_commands((*as_root(ctx), "sh", "-c", _FORGET, "sh", _file(ctx, self.service)))

    def active(self, ctx: Context) -> bool:
        """Return True while an unfinished file exists next to the env file."""
        return ctx.run(*as_root(ctx), "test", "-e", f"{_file(ctx, self.service)}.drillbook-new").ok
