"""The few lines of shell that a command travels in, and the ones that end it."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drillbook.errors import HostError
from drillbook.values import Secret

LINE_LIMIT = 120_000
"""The kernel takes 128 KiB in one argument, and sshd hands the whole command line over as one."""

FRONT = 8
"""Words of a command among which the program that it is really about is named: a fence has six before it."""

ENDING = r"""
p=$1 s=$2 m=" $1 "
look() {
  for pass in 1 2 3; do
    found=
    for f in /proc/[0-9]*/stat; do
      { read -r l <"$f"; } 2>/dev/null || continue
      i=${l%% *}
      case $m in *" $i "*) continue ;; esac
      set -- ${l##*) }
      case $m in *" $2 "*) ;; *) [ "$3" = "$p" ] || [ "$4" = "$p" ] || continue ;; esac
      m="$m$i " found=1
    done
    [ "$found" ] || return 0
  done
}
left() {
  for i in $m; do
    { read -r l <"/proc/$i/stat"; } 2>/dev/null || continue
    set -- ${l##*) }
    case $1 in [ZX]) ;; *) return 0 ;; esac
  done
  return 1
}
if ! [ -r /proc/self/stat ]; then
  m="-- -$p"
  look() { :; }
  left() { kill -0 -- "-$p" 2>/dev/null; }
fi
gone() {
  left && return 1
  look
  ! left
}
look
gone && exit 0
told=
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  if [ "$m" != "$told" ]; then
    new=${m#"$told"} told=$m
    $s kill -TERM $new 2>/dev/null
    $s kill -CONT $new 2>/dev/null
  fi
  sleep 0.1
  gone && exit 0
done
for n in 1 2 3 4 5; do
  look
  $s kill -KILL $m 2>/dev/null
  sleep 0.1
  gone && exit 0
done
exit 1
"""
"""Ends the session that ``$1`` leads and all that descends from it: TERM, 2 s, KILL. Exit 0 when they are gone.

The set only grows, because a descendant in a session of its own is nobody's child any more when its parent has gone.
It is looked for again when all seem gone: one that ends may have started another just before. Three passes find
children listed ahead of their parents, and come to an end though somebody may fork without end. ``$2`` is ``sudo -n``
when the command itself ran through sudo, else empty.
"""


def checked(argv: Sequence[str]) -> tuple[str, ...]:
    """``argv`` as a tuple; raises ValueError when it is empty or holds a NUL, which no process can be given."""
    if isinstance(argv, str) or not argv:
        raise ValueError("a command is a list of words, and has at least one")
    if any("\0" in word for word in argv):
        raise ValueError("a command's words hold no NUL")
    return tuple(argv)


def revealed(env: Mapping[str, str | Secret] | None) -> dict[str, str]:
    """The environment with its secrets revealed; raises ValueError for what no shell takes, SecretError."""
    values = {}
    for name, value in (env or {}).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name!r} is no name of an environment variable")
        values[name] = value.reveal() if isinstance(value, Secret) else value
        if "\0" in values[name]:
            raise ValueError(f"the value of {name} holds a NUL")
    return values


def exports(env: Mapping[str, str]) -> bytes:
    """What the wrapper evaluates, read from standard input ahead of the command's own; empty without ``env``."""
    if not env:
        return b""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in env.items()]
    # The last assignment tells a whole text from one that a dying connection cut at a line end.
    return "".join([*lines, "_drillbook=all\n"]).encode("utf-8", "surrogateescape")


KNOWN_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "busybox"})
"""Login shells that can run a short line themselves; fish and csh cannot."""


def new_token() -> str:
    """A marker that no output holds by chance."""
    return f"drillbook-{secrets.token_hex(8)}-"


@dataclass(frozen=True, slots=True)
class Order:
    """A command for a host behind SSH, and the line that starts it there.

    The first thing that a line writes, to standard error, is ``token`` and the process id, by which the command can be
    ended.
    """

    host: str
    words: tuple[str, ...]
    preamble: bytes = b""
    stdin: bytes = b""
    cwd: str | None = None
    token: str = field(default_factory=new_token)

    @property
    def input(self) -> bytes:
        """What the line reads: the environment, then what the command reads."""
        return self.preamble + self.stdin

    def check(self) -> None:
        """Raise HostError when the line is longer than a kernel takes."""
        length = len(self.line())
        if length > LINE_LIMIT:
            raise HostError(
                f"{self.host}: the command is {length} bytes long, and sshd can start {LINE_LIMIT}",
                host=self.host,
                hint="hand the data over by standard input",
            )

    def line(self, shell: str = "") -> bytes:
        """The line for the login shell ``shell``, or for any."""
        if shell in KNOWN_SHELLS and not self.preamble and self.cwd is None:
            text = f"echo {self.token}$$ >&2; exec {shlex.join(self.words)}"  # saves the start of a second shell
        else:
            text = self._wrapped()
        return text.encode("utf-8", "surrogateescape")

    def _wrapped(self) -> str:
        script = f'echo "{self.token}$$ $SHELL" >&2; '
        words = list(self.words)
        if self.preamble:
            # dd with one byte a time leaves the command's own input unread, where head would take a block.
            script += (
                f"_drillbook=$(dd bs=1 count={len(self.preamble)} 2>/dev/null) || exit 126; "
                'eval "$_drillbook"; [ "$_drillbook" = all ] || exit 126; unset _drillbook; '
            )
        if self.cwd is not None:
            script += 'CDPATH= cd -- "$1" >/dev/null || exit 126; shift; '
            words.insert(0, self.cwd if self.cwd.startswith("/") else f"./{self.cwd}")
        script += 'exec "$@"'
        # exec: no shell stays behind that would turn a death by signal into a status.
        return f"exec sh -c {shlex.quote(script)} sh {shlex.join(words)}"


def through_sudo(words: Sequence[str]) -> bool:
    """True when a command runs through sudo, also one that a fence, a shell or ``env`` starts."""
    return any(word.rpartition("/")[2] == "sudo" for word in words[:FRONT])
