"""Shell command lines for commands on a host, and the script that kills a command."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drillbook.errors import HostError
from drillbook.values import Secret

LINE_LIMIT = 120_000
"""Maximum length of a command line in bytes.

The kernel limits one argument to 128 KiB, and sshd passes the whole line as one argument.
"""

FRONT = 8
"""A search for `sudo` examines this number of words at the beginning of a command. A shell or `env` may come before `sudo`.

The words of a fence are not counted. A fence is a wrapper that first checks a lock.
"""
FENCE_MARK = "drillbook: fenced off, did not start"
"""Text that a fence prints when it refuses to start a command. A fence is a wrapper that first checks a lock."""
FENCE_WORDS = 7
"""Number of arguments that a fence adds at the beginning of a command. A command has one fence for each lock."""

ENDING = r"""
p=$1 s=$2 m=" $1 "
[ "$(id -u)" != 0 ] || s=
scan() {
  for pass in 1 2 3; do
    found=
    for f in /proc/[0-9]*/stat; do
      { read -r l <"$f"; } 2>/dev/null || continue
      i=${l%% *}
      case $m in *" $i "*) continue ;; esac
      set -- ${l##*) }
      case $m in *" $2 "* | *" $3 "* | *" $4 "*) ;; *) continue ;; esac
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
  m="-$p"
  scan() { :; }
  left() { kill -0 "-$p" 2>/dev/null; }
fi
gone() {
  left && return 1
  scan
  ! left
}
scan
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
  scan
  $s kill -KILL $m 2>/dev/null
  sleep 0.1
  gone && exit 0
done
exit 1
"""
"""Script that kills the process ``$1``, the session that this process leads, and all its descendants. It first sends TERM,
and KILL 2 s later.

The exit status is 0 when all these processes are gone. Before the first signal, the script searches all processes of the host
for children of the known processes, and for members of their groups and sessions. The kernel's lists of children are not
enough for this: if a member of the session has lost its own parent process, the lists of the known processes do not contain
this member, and its children may have sessions of their own. The script keeps a list of all processes that it has found.
Without this list, the script could not find children with sessions of their own after their parent has terminated.

The script searches again before each KILL, and when all known processes seem to be gone. The reason is that a terminating
process may have just started another process. A search has three passes, because children may be listed before their parents.
There are never more passes, so the search ends even if processes fork endlessly.

``$2`` is ``sudo -n`` when the command itself ran through sudo. Otherwise ``$2`` is empty, for example when the SSH user is
root.
"""


def checked(argv: Sequence[str]) -> tuple[str, ...]:
    """Return ``argv`` as a tuple.

    Raises ValueError when ``argv`` is empty, or when an argument contains a NUL byte.
    """
    if isinstance(argv, str) or not argv:
        raise ValueError("a command must be a list of at least one argument")
    if any("\0" in word for word in argv):
        raise ValueError("the arguments of a command must not contain NUL")
    return tuple(argv)


def revealed(env: Mapping[str, str | Secret] | None) -> dict[str, str]:
    """Return the environment with its secrets as plain text.

    Raises SecretError when a secret cannot be read, and ValueError when a name or a value is invalid.
    """
    values = {}
    for name, value in (env or {}).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name!r} is not a valid name of an environment variable")
        values[name] = value.reveal() if isinstance(value, Secret) else value
        if "\0" in values[name]:
            raise ValueError(f"the value of {name} contains a NUL")
    return values


def exports(env: Mapping[str, str]) -> bytes:
    """Return shell text that exports the variables in ``env``. The result is empty when ``env`` is empty.

    The wrapper of a command reads this text from standard input, before the input of the command itself.
    """
    if not env:
        return b""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in env.items()]
    # If this last assignment is missing, the connection broke while the text was sent.
    return "".join([*lines, "_drillbook=all\n"]).encode("utf-8", "surrogateescape")


KNOWN_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "busybox"})
"""Login shells that can run the text of a command directly. Other login shells, such as fish and csh, pass the text to `sh`.
"""


FENCING_SHELLS = KNOWN_SHELLS - {"zsh", "ksh", "mksh"}
"""Login shells that run the text of a fence exactly as `sh` does. A fence is a wrapper that first checks a lock, and
starts the command only if the run still holds the lock. The shell mksh, for example, is not in the set, because it
compares only 32-bit numbers.
"""


def new_token() -> str:
    """Return a random token for the marker line. It is so long that no command prints it by chance."""
    return f"drillbook-{secrets.token_hex(8)}-"


@dataclass(frozen=True, slots=True)
class Order:
    """A command for a host behind SSH, and the shell line that starts the command.

    The shell line first writes ``token`` and the process id to standard error. The process id is needed to kill the
    command.
    """

    host: str
    words: tuple[str, ...]
    preamble: bytes = b""
    stdin: bytes = b""
    cwd: str | None = None
    token: str = field(default_factory=new_token)

    @property
    def input(self) -> bytes:
        """Standard input of the shell line: first the environment, then the input of the command itself."""
        return self.preamble + self.stdin

    def check(self) -> None:
        """Raise HostError when the shell line is longer than LINE_LIMIT."""
        length = len(self.line())
        if length > LINE_LIMIT:
            raise HostError(
                f"{self.host}: the command line has {length} bytes, but sshd accepts at most {LINE_LIMIT}",
                host=self.host,
                hint="pass the data on standard input",
            )

    def line(self, shell: str = "") -> bytes:
        """Return the shell line for the login shell ``shell``. An empty name stands for an unknown shell."""
        if shell in KNOWN_SHELLS and not self.preamble and self.cwd is None:
            text = f"echo {self.token}$$ >&2; {self._without_second_shell(shell)}"
        else:
            text = self._wrapped()
        return text.encode("utf-8", "surrogateescape")

    def _without_second_shell(self, shell: str) -> str:
        """Return shell text that runs the command without starting another shell.

        A fence is a wrapper that first checks a lock. Normally an extra `sh` runs the fence of a command. If ``shell`` is
        one of ``FENCING_SHELLS``, the login shell itself runs the text of the fence.
        """
        words = self.words
        if is_fenced(words) and shell in FENCING_SHELLS:
            return f"set +f; {fence_inline(words)}"  # start-up files may turn off patterns
        return f"exec {shlex.join(words)}"

    def _wrapped(self) -> str:
        script = f'echo "{self.token}$$ $SHELL" >&2; '
        words = list(self.words)
        if self.preamble:
            # dd reads single bytes, and leaves the command's own input unread; head would read a whole block.
            script += (
                f"_drillbook=$(dd bs=1 count={len(self.preamble)} 2>/dev/null) || exit 126; "
                'eval "$_drillbook"; [ "$_drillbook" = all ] || exit 126; unset _drillbook; '
            )
        if self.cwd is not None:
            script += 'CDPATH= cd -- "$1" >/dev/null || exit 126; shift; '
            words.insert(0, self.cwd if self.cwd.startswith("/") else f"./{self.cwd}")
        script += 'exec "$@"'
        # exec replaces the shell; otherwise the shell would report a death by signal as an exit status.
        return f"exec sh -c {shlex.quote(script)} sh {shlex.join(words)}"


def is_fenced(words: Sequence[str]) -> bool:
    """Return True when the command begins with a fence, which is a wrapper that first checks a lock."""
    return len(words) > FENCE_WORDS and tuple(words[:2]) == ("sh", "-c") and FENCE_MARK in words[2]


def fence_inline(words: Sequence[str]) -> str:
    """Return shell text for a command that begins with a fence. The text first checks that the run still holds its lock, as
    the fence does, and then runs the rest of the command. The check does not start a second shell.
    """
    return f"set -- {shlex.join(words[4:])}\n{words[2]}"


def through_sudo(words: Sequence[str]) -> bool:
    """Return True when a command runs through sudo. Checks of locks, a shell or ``env`` may come before `sudo`."""
    while is_fenced(words):
        words = words[FENCE_WORDS:]
    return any(word.rpartition("/")[2] == "sudo" for word in words[:FRONT])
