"""Programs on a host that copy data between their standard streams and a Unix socket, or that listen at a Unix socket.

With peer authentication, a server takes the user of the process that connects to its socket as the user who logs in
(SO_PEERCRED in unix(7)). So a program of this module, started as a user, can log in as this user. Each program is written in
perl and in python3, because Debian always has perl (package perl-base), and RHEL always has python3.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from drillbook.sdk.host import as_user

LISTEN_S = 10
"""Longest time, in seconds, to wait until the socket of a listener exists."""
# Each direction has a process or thread of its own, because some servers read no more until their answer is read. Once the
# input has ended, a server has 5 s for the rest of its answer.
_PERL = r"""
use IO::Socket::UNIX;
my $line = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$ARGV[0]: $!\n";
sub carry {
  my ($from, $to) = @_;
  while (sysread($from, my $data, 65536)) {
    while (length $data) { my $n = syswrite($to, $data) // return; substr($data, 0, $n) = "" }
  }
}
my $main = $$;
defined(my $sender = fork) or die "$!\n";
if ($sender) { carry($line, \*STDOUT); kill TERM => $sender; exit }
close STDOUT;
carry(\*STDIN, $line);
shutdown($line, 1);
for (1 .. 50) { select(undef, undef, undef, 0.1); exit if getppid != $main }
kill TERM => $main;
"""
_PYTHON = r"""
import os, socket, sys, threading, time
line = socket.socket(socket.AF_UNIX)
try:
    line.connect(sys.argv[1])
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error.strerror}")
def send():
    try:
        while data := os.read(0, 65536):
            line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        time.sleep(5)
    finally:
        os._exit(0)
threading.Thread(target=send, daemon=True).start()
try:
    while data := line.recv(65536):
        while data:
            data = data[os.write(1, data):]
finally:
    os._exit(0)
"""
# SOCKET PROGRAM...: listen at SOCKET, and run PROGRAM for each connection. `_LISTEN_PYTHON` does the same. Between bind and
# listen a socket refuses connections, so it gets its name only once it listens.
_LISTEN_PERL = r"""
use IO::Socket::UNIX; $SIG{CHLD} = "IGNORE"; my $path = shift @ARGV;
(my $new = $path) =~ s{[^/]*$}{new};
my $at = IO::Socket::UNIX->new(Local => $new, Listen => 64) or die "$new: $!\n";
rename($new, $path) or die "$path: $!\n";
while (1) { my $near = $at->accept or next; next if fork; open STDIN, "<&", $near; open STDOUT, ">&", $near; exec @ARGV }
"""
_LISTEN_PYTHON = r"""
import os, signal, socket, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
at, new = socket.socket(socket.AF_UNIX), os.path.join(os.path.dirname(sys.argv[1]), "new")
at.bind(new)
at.listen(64)
os.rename(new, sys.argv[1])
while True:
    near, _ = at.accept()
    if not os.fork():
        os.dup2(near.fileno(), 0)
        os.dup2(near.fileno(), 1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.execvp(sys.argv[2], sys.argv[2:])
    near.close()
"""


def _first_of(perl: str, python: str, others: str, lacking: str) -> str:
    """Return a script that runs a program. The program is written in several languages, and the script uses the first
    language that the host has.
    """
    return f"""
if perl -MIO::Socket::UNIX -e 1 2>/dev/null; then exec perl -e "$(cat <<'PROGRAM'
{perl}
PROGRAM
)" -- "$@"; fi
for python in python3 /usr/libexec/platform-python; do
if command -v "$python" >/dev/null; then exec "$python" -c "$(cat <<'PROGRAM'
{python}
PROGRAM
)" "$@"; fi
done
{others}echo "{lacking}" >&2
exit 127
"""


_RELAY = _first_of(
    _PERL,
    _PYTHON,
    """if command -v socat >/dev/null; then exec socat - "UNIX-CONNECT:$1"; fi
if nc -h 2>&1 | grep -q -- -U; then exec nc -U "$1"; fi
""",
    "perl, python3, socat or netcat-openbsd is needed to reach $1",
)
# SOCKET: connect the standard streams to the socket.
_LISTENER = _first_of(_LISTEN_PERL, _LISTEN_PYTHON, "", "perl or python3 is needed to listen at $1")
# SOCKET LISTENER PROGRAM...: run PROGRAM while LISTENER, a command line, listens at SOCKET in a new private folder.
_BESIDE = f"""
umask 077
socket=$1 listener=$2; shift 2
folder=$(dirname -- "$socket")
mkdir -- "$folder" || exit 126
trap 'test $? = 0 || cat -- "$folder/log" >&2; kill "$at" 2>/dev/null; rm -rf -- "$folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
sh -c "$listener" >/dev/null 2>"$folder/log" &
at=$!
tries=0
until test -S "$socket"; do
  tries=$((tries + 1))
  kill -0 "$at" 2>/dev/null && test $tries -lt {LISTEN_S * 20} || exit 126
  sleep 0.05
done
"$@"
"""


def relay(path: str, user: str = "") -> tuple[str, ...]:
    """Return the command that connects its standard streams to the Unix socket ``path`` as ``user``.

    An empty user is the SSH user.
    """
    return as_user(user, ("sh", "-c", _RELAY, "sh", path))


def beside(socket: str, relayed: Sequence[str], program: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs ``program``. The command also listens at ``socket`` until ``program`` ends.

    For each connection to ``socket``, the command ``relayed`` is started. The folder of ``socket`` must not exist yet. It is
    created with mode 0700, and removed at the end.
    """
    listener = "exec " + shlex.join(("sh", "-c", _LISTENER, "sh", socket, *relayed))
    return ("sh", "-c", _BESIDE, "sh", socket, listener, *program)
