"""Commands that create a sandbox, run programs in it, and remove it. Programs in a sandbox have no network. There is one
exception: with the isolation `none`, the programs use the host's network.

All commands are shell commands for the sandbox's host. The host can run them even when the controller is gone. The sandbox's
folder has the same path inside and outside of its container. So programs outside can use the Unix sockets in the folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from drillbook.sdk.host import as_user

Kind = Literal["namespace", "container", "none"]
MARK = "DRILLBOOK_SANDBOX"
"""Environment variable of every process in a sandbox. Its value is the path of the sandbox's folder."""
OWNER = "drillbook.run"
"""File in the folder of a sandbox. It contains the id of the run that created the sandbox."""
PROGRAMS = (
    *("awk", "cat", "chmod", "df", "dirname", "du", "find", "grep", "id", "ls"),
    *("mkdir", "rm", "rmdir", "sed", "setsid", "sleep", "stat", "tail"),
)
"""Programs that make, watch, limit and remove every sandbox."""
TAKEN = 75
"""Exit status of the script that creates a sandbox's folder. It means that a sandbox with this folder already exists."""
PIDS = 1024
"""Maximum number of processes in a container."""

MARKED = """grep -lzxF -- "DRILLBOOK_SANDBOX=$folder" /proc/[0-9]*/environ 2>/dev/null | sed 's|[^0-9]||g'"""
"""Shell command that prints the process ids of all processes that were started in the sandbox ``$folder``."""
# FOLDER RUN: create the folder; first remove a sandbox that this run left incomplete.
_MAKE = """
umask 077
mkdir -m 700 -- "$1" 2>/dev/null || {
  if test ! -e "$1" && test ! -h "$1"; then echo "cannot make $1" >&2; exit 1; fi
  cat -- "$1/drillbook.run" 2>/dev/null; exit 75
}
printf '%s\\n' "$2" > "$1/drillbook.run"
"""
# FOLDER RUN: kill all processes of the sandbox, and remove its folder, if this run created it. Safe to run twice.
_REMOVE = (
    """
folder=$1 run=$2
inside() {
  ls -l /proc/[0-9]*/cwd 2>/dev/null | sed -n 's|.* /proc/\\([0-9]*\\)/cwd -> |\\1 |p' | while read -r pid path; do
    case $path in "$folder" | "$folder"/* | "$folder (deleted)") echo "$pid" ;; esac
  done
  """
    + MARKED
    + """
}
cd /
test -e "$folder" || test -h "$folder" || exit 0
rmdir -- "$folder" 2>/dev/null && exit 0
if test -h "$folder" || ! test -O "$folder"; then echo "$folder is not a folder of this user" >&2; exit 77; fi
test "$(cat -- "$folder/drillbook.run" 2>/dev/null)" = "$run" || exit 0
tries=0
while pids=$(inside) && test -n "$pids"; do
  # shellcheck disable=SC2086 # a list of numbers
  kill -KILL $pids 2>/dev/null
  tries=$((tries + 1))
  if test "$tries" -ge 100; then echo "processes of $folder do not end: $pids" >&2; exit 1; fi
  sleep 0.05
done
find "$folder" -mindepth 1 -maxdepth 1 ! -name drillbook.run -exec chmod -R u+rwx {} + -exec rm -rf -- {} +
rm -f -- "$folder/drillbook.run"
rmdir -- "$folder"
"""
)
# FOLDER ISOLATION BYTES PROGRAM...: run a program in the sandbox.
_ENTER = """
export DRILLBOOK_SANDBOX="$1"
cd -- "$1" || exit 1
isolation=$2 bytes=$3
shift 3
umask 077
if test "$isolation" = namespace; then
  if test "$(id -u)" = 0; then set -- unshare --net -- "$@"
  else set -- unshare --user --map-current-user --net -- "$@"; fi
fi
exec prlimit --data="$bytes" -- "$@"
"""
# ISOLATION FOLDER: check that the host permits this isolation; if the folder exists, print `taken` and its run.
_TRY = """
if test "$1" = namespace; then
  if test "$(id -u)" = 0; then unshare --net -- true; else unshare --user --map-current-user --net -- true; fi || exit 1
fi
for program in prlimit setsid; do
  command -v "$program" >/dev/null || { echo "util-linux is missing" >&2; exit 1; }
done
test ! -e "$2" && test ! -h "$2" || { echo taken; cat -- "$2/drillbook.run" 2>/dev/null; true; }
"""
# IMAGE: check that the engine can run a container of the image with the users of the host.
_TRY_ENGINE = """
options=$(docker info --format '{{.SecurityOptions}}') || exit 1
case $options in *name=userns* | *name=rootless*)
  echo "the Docker engine gives containers other users than the host's (userns-remap, rootless)" >&2; exit 1 ;;
esac
docker image inspect "$1" >/dev/null || { echo "pull the image there before" >&2; exit 1; }
"""
# FOLDER NAME RUN IMAGE BYTES PIDS WRITER...: start the sandbox's container. It ends as soon as the folder is removed.
# It runs as the folder's owner; WRITER writes the image's list of users to the folder, with this user added.
_START = """
folder=$1 name=$2 run=$3 image=$4 bytes=$5 pids=$6
shift 6
owner=$(stat -c %u:%g -- "$folder") || exit 1
{ docker run --rm --pull never --network none --user "$owner" --entrypoint cat "$image" /etc/passwd &&
  echo "drillbook:x:$owner::$folder:/bin/sh"; } | "$@" || exit 1
docker run --detach --rm --init --pull never --name "$name" --label "drillbook.run=$run" --label "drillbook.sandbox=$folder" \\
  --network none --read-only --tmpfs /tmp:mode=1777,size=64m --shm-size "$((bytes / 4))" --user "$owner" \\
  --cap-drop ALL --security-opt no-new-privileges --memory "$bytes" --memory-swap "$bytes" --pids-limit "$pids" \\
  --mount "type=bind,source=$folder,target=$folder" --env "DRILLBOOK_SANDBOX=$folder" --env "HOME=$folder" \\
  --mount "type=bind,source=$folder/passwd,target=/etc/passwd,readonly" \\
  --workdir "$folder" --entrypoint sh "$image" -c 'while test -e "$1"; do sleep 2; done' sh "$folder/drillbook.run" >/dev/null
"""
# NAME RUN COMMAND...: remove the container of the run, then run the command. Safe to run twice.
_REMOVE_CONTAINER = """
name=$1 run=$2
shift 2
of_run() { docker ps --all --quiet --filter "name=^/$name\\$" --filter "label=drillbook.run=$run"; }
tries=0
while id=$(of_run) || exit 1; test -n "$id"; do
  docker rm --force --volumes "$id" >/dev/null 2>&1
  tries=$((tries + 1))
  if test "$tries" -ge 100; then echo "the container $name does not end" >&2; exit 1; fi
  sleep 0.05
done
exec "$@"
"""
# ADDRESS PORT ...: print the network devices and routes, and for each address and port, if a connection to it succeeds.
NETWORK = """
sed -n 's/^ *\\([^ :]*\\):.*/device \\1/p' /proc/net/dev
sed -n '2,$s/^\\([^ \\t]*\\).*/route \\1/p' /proc/net/route
if command -v bash >/dev/null; then
  while test $# -gt 1; do
    if timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$1" "$2" 2>/dev/null; then echo "reached $1:$2"
    else echo "refused $1:$2"; fi
    shift 2
  done
fi
"""
_PRIVATE = 'umask 077; exec "$@"'
_WRITE_READABLE = 'umask 022; cat > "$1"'


@dataclass(frozen=True, slots=True)
class Isolation:
    """Isolation of one sandbox: its folder, its user, its memory limit and its container image."""

    folder: str
    kind: Kind
    user: str
    """User that runs the processes of the sandbox. Empty: the SSH user."""
    memory: int
    """Memory limit of the sandbox in bytes."""
    image: str = ""
    """Image of the sandbox's container. The name is empty for a sandbox without a container."""

    @property
    def container(self) -> str:
        """Name of the container. It is derived from the folder, so that each folder has at most one container."""
        digest = hashlib.sha256(self.folder.encode()).hexdigest()[:8]
        return f"drillbook-{re.sub(r'[^A-Za-z0-9_.-]', '_', self.folder.rpartition('/')[2])}-{digest}"

    def as_user(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command that runs ``argv`` on the host as the sandbox's user."""
        return as_user(self.user, argv)

    def make(self, run_id: str) -> tuple[str, ...]:
        """Return the command that creates the folder.

        If the folder exists already, the command exits with the status ``TAKEN``.
        """
        return self.as_user(("sh", "-c", _MAKE, "sh", self.folder, run_id))

    def start(self, run_id: str) -> tuple[str, ...]:
        """Return the command that starts the container in the new folder.

        The result is empty for a sandbox without a container.
        """
        if self.kind != "container":
            return ()
        writer = self.as_user(("sh", "-c", _WRITE_READABLE, "sh", f"{self.folder}/passwd"))
        words = (self.folder, self.container, run_id, self.image, str(self.memory), str(PIDS))
        return ("sh", "-c", _START, "sh", *words, *writer)

    def remove(self, run_id: str) -> tuple[str, ...]:
        """Return the command that removes the sandbox if the run ``run_id`` created it.

        Running the command twice is safe.
        """
        removed = self.as_user(("sh", "-c", _REMOVE, "sh", self.folder, run_id))
        if self.kind != "container":
            return removed
        return ("sh", "-c", _REMOVE_CONTAINER, "sh", self.container, run_id, *removed)

    def enter(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Return the command that runs ``argv`` in the sandbox, as its user."""
        words = (*_assigned(env), *argv)
        if self.kind != "container":
            return self._limited(self.kind, words)
        inside = ("--interactive", "--workdir", self.folder, self.container)
        return ("docker", "exec", *inside, "sh", "-c", _PRIVATE, "sh", *words)

    def fetch(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Return the command that runs ``argv`` outside the sandbox, as the sandbox's user and with the network of the host.

        Drillbook fetches data for the sandbox with this command.
        """
        return self._limited("none", (*_assigned(env), *argv))

    def _limited(self, kind: str, argv: Sequence[str]) -> tuple[str, ...]:
        return self.as_user(("sh", "-c", _ENTER, "sh", self.folder, kind, str(self.memory), *argv))

    def trial(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command that runs ``argv`` before the sandbox exists. Drillbook inspects programs with this command.

        If the sandbox will have a container, the command runs in another container of the same image. Otherwise it runs on
        the host, as the sandbox's user.
        """
        if self.kind != "container":
            return self.as_user(argv)
        options = (
            "--rm",
            "--interactive",
            "--pull",
            "never",
            "--network",
            "none",
            "--read-only",
            "--cap-drop",
            "ALL",
            "--user",
            "65534:65534",
        )
        return ("docker", "run", *options, "--entrypoint", argv[0], self.image, *argv[1:])

    def attempts(self) -> tuple[tuple[str, ...], ...]:
        """Return the commands that check whether the host permits the sandbox.

        The last of these commands prints `taken` if the sandbox exists already.
        """
        folder = self.as_user(("sh", "-c", _TRY, "sh", self.kind, self.folder))
        return (("sh", "-c", _TRY_ENGINE, "sh", self.image), folder) if self.kind == "container" else (folder,)


def _assigned(env: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the beginning of a command line that sets environment variables for the rest of the command line."""
    return ("env", *(f"{name}={value}" for name, value in env.items())) if env else ()
