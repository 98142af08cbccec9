"""A host that runs commands and accesses files as another account, by sudo. Only this module applies the key `become`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from drillbook.errors import Cancelled, CommandTimedOut, HostError, PrivilegeRefused, WrongPassword
from drillbook.hosts import sudoers
from drillbook.hosts.atomic import for_bytes, get_by_command, put_by_command
from drillbook.hosts.forward import forwarded_privately
from drillbook.hosts.shell import ENDING, checked, new_token, revealed
from drillbook.sdk import unix_socket
from drillbook.sdk.become import Become
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, Host, Output, Piped, Target, as_user, printable, shown
from drillbook.sdk.sudo_question import MAY, REFUSALS, refusal
from drillbook.sdk.wrapped_host import WrappedHost
from drillbook.values import Secret

NOT_KILLED = "it could not be killed"
"""Text that the error message of a host contains when the host could not kill a command."""
MARK = "#drillbook"
"""Line in the standard input of the script START. The values of the environment variables follow this line."""
# FOLDER NAME... -- COMMAND...: skip a password that sudo did not ask for, read the values of the variables NAME..., each after
# a line with its length, and run COMMAND in FOLDER. Nothing of standard input is run as shell text: a rule of sudo for this
# script allows only COMMAND with these variables. dd and read take one byte at a time, and leave the command's own input unread.
START = (
    f"_drillbook=; until [ \"$_drillbook\" = '{MARK}' ]; do IFS= read -r _drillbook || exit 126; done; "
    '_drillbook_in=$1; shift; while [ "$1" != -- ]; do IFS= read -r _drillbook || exit 126; '
    '_drillbook=$(dd bs=1 count="$_drillbook" 2>/dev/null && echo .) || exit 126; export "$1=${_drillbook%.}"; shift; done; '
    'shift; IFS= read -r _drillbook && [ "$_drillbook" = all ] || exit 126; '
    '[ -z "$_drillbook_in" ] || CDPATH= cd -- "$_drillbook_in" >/dev/null || exit 126; '
    'unset _drillbook _drillbook_in; exec "$@"'
)
# Reads a mark, and kills every process that has the mark in its command line, with its descendants.
KILL = (
    "read -r mark; bad=; for f in /proc/[0-9]*/cmdline; do "
    'grep -qF -- "$mark" "$f" 2>/dev/null || continue; '
    'p=${f#/proc/}; sh -c "$1" sh "${p%/cmdline}" "" || bad=yes; done; [ -z "$bad" ]'
)
# USER ASKS: print the rules for this user, or the word `all` if it needs none. Fails where some rule asks for a password that is
# not on standard input.
RULES = """
test "$(id -un)" != "$1" && test "$(id -u)" != 0 || { echo all; exit; }
LC_ALL=C
export LC_ALL
if test "$2" = yes; then exec sudo -S -k -p '' -l -l; fi
sudo -n -v 2>/dev/null && exec sudo -n -l -l
"""
# Asks for the password, unless no rule for the SSH user asks for one.
VALID = "LC_ALL=C; export LC_ALL; exec sudo -S -k -p '' -v"
KILL_S = 10.0
MISTAKEN = "incorrect password"
"""Words of sudo about a wrong password."""


Used = Callable[[str, str, tuple[str, ...]], None]
"""Function that is called with each command before sudo starts it.

Its arguments are the host, the account and the command.
"""


def privileged(host: Host, become: Become | None, used: Used | None = None) -> Host:
    """Return a host on which the account of ``become`` runs commands and accesses files. When ``become`` is None,
    return ``host`` itself.

    ``used``: function that is called with every command before it starts.
    """
    return PrivilegedHost(host, become, used) if become else host


@dataclass(frozen=True, slots=True)
class PrivilegedHost(WrappedHost):
    """A host on which every command runs as the account of ``become``, and every file is read and written as this account.

    Ports are forwarded by the SSH user.
    """

    become: Become
    used: Used | None = None

    @property
    def target(self) -> Target:
        """Description of the host in the inventory. Two settings fit the account that runs the commands (``become``): root
        uses the service manager without sudo, and each account has its own folder for leases.
        """
        return self.inner.target.acting_as(self.become.user)

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        stdin: bytes = b"",
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | None = None,
        sink: BinaryIO | None = None,
    ) -> Output:
        """Run ``argv`` as the account of `become`; see ``Host.run``. Raises PrivilegeRefused when sudo refuses."""
        name = new_token() if self.become.password else "sh"
        words, head = self.order(argv, env, cwd, name=name)
        try:
            raw = self.inner.run(words, deadline=deadline, stdin=head + stdin, sink=sink)
        except (CommandTimedOut, Cancelled) as error:
            if self.become.password and NOT_KILLED in error.message:
                self._kill(error, name)
            raise
        return self._answered(replace(raw, argv=checked(argv)))

    def _kill(self, error: CommandTimedOut | Cancelled, token: str) -> None:
        """Kill a command with the rights of the account. The SSH user cannot kill this command when sudo asks for a password.

        ``error``: the error that the command raised. Its message says that the command could not be killed. When the
        command is killed here, the message is corrected.
        """
        words, head = self.order(("sh", "-c", KILL, "sh", ENDING))
        with suppress(HostError):
            if self.inner.run(words, deadline=Deadline.after(KILL_S), stdin=head + f"{token}\n".encode()).ok:
                error.message = f"{error.message.partition(NOT_KILLED)[0]}it was killed"
                error.args = (error.message,)

    def order(
        self,
        argv: Sequence[str],
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | None = None,
        *,
        name: str = "sh",
    ) -> tuple[tuple[str, ...], bytes]:
        """Return the sudo command that the SSH user runs to start ``argv``, and the beginning of that command's
        standard input.

        ``name``: name of the shell that runs the script START. The password and the environment are passed on standard input
        for two reasons: sudo passes on no variables, and other users can see the arguments of a command. Raises SecretError
        when the password cannot be read, and HostError when it has several lines.
        """
        words, password, values = checked(argv), self._password(), revealed(env)
        if not values and cwd is None and password is None:
            return self._by_sudo(words), b""
        names = sorted(values, key=lambda variable: variable == "PATH")  # last: it changes where the shell finds dd
        head = b"" if password is None else password.encode() + b"\n"
        head += f"{MARK}\n".encode()
        for data in (values[variable].encode("utf-8", "surrogateescape") for variable in names):
            head += f"{len(data)}\n".encode() + data
        return self._by_sudo(("sh", "-c", START, name, cwd or "", *names, "--", *words)), head + b"all\n"

    def may(self, argv: Sequence[str], *, deadline: Deadline) -> str:
        """Ask sudo whether it would start ``argv``, without starting it. Return the reason for a refusal, or an empty
        text.

        The result is also empty when a program is missing, or when the answer of sudo is not understood. Raises
        SecretError when the password cannot be read, and HostError when the host cannot be used.
        """
        words, password = checked(argv), self._password()
        asked = words if password is None else ("sh", "-c", START, "sh", "", "--", *words)
        script = ("sh", "-c", MAY, "sudo", self.become.user, "no" if password is None else "yes", *asked)
        head = b"" if password is None else password.encode() + b"\n"
        return refusal(self.inner.run(script, deadline=deadline, stdin=head))

    def check_password(self, *, deadline: Deadline) -> None:
        """Try the password once. Without a password, do nothing.

        sudo takes the further lines of a command's standard input for further passwords, and servers lock an account after
        several wrong ones. So a wrong password must be noticed before sudo is asked to start a command.

        Raises WrongPassword when the password is wrong, SecretError when it cannot be read, and HostError when the host
        cannot be used.
        """
        if (password := self._password()) is None:
            return
        output = self.inner.run(("sh", "-c", VALID), deadline=deadline, stdin=password.encode() + b"\n")
        wrong = [line for line in printable(output.stderr).splitlines() if MISTAKEN in line]
        if wrong and not output.ok:
            raise self._refused(("sudo", "-v"), wrong[-1].strip())

    def may_all(self, *, deadline: Deadline) -> bool:
        """Return True when sudo's rules let the SSH user run every command as the account.

        Raises SecretError when the password cannot be read, and HostError when the host cannot be used.
        """
        password = self._password()
        words = ("sh", "-c", RULES, "sudo", self.become.user, "no" if password is None else "yes")
        head = b"" if password is None else password.encode() + b"\n"
        output = self.inner.run(words, deadline=deadline, stdin=head)
        return output.ok and sudoers.allows_all(output.text, self.become.user)

    def _by_sudo(self, words: tuple[str, ...]) -> tuple[str, ...]:
        if self.used:
            self.used(self.name, self.become.user, words)
        return as_user(self.become.user, words, asks=self.become.password is not None)

    def _password(self) -> str | None:
        if self.become.password is None:
            return None
        password = self.become.password.reveal()
        if "\n" in password or password == MARK:
            raise HostError(
                f"{self.name}: the password of `become` has several lines, which sudo cannot read", host=self.name
            )
        return password

    def _answered(self, output: Output) -> Output:
        """Return ``output``. Raises PrivilegeRefused when the output is a refusal of sudo."""
        said = printable(output.stderr)
        if output.exit != 1 or "sudo" not in said:
            return output
        if f"sudo: {output.argv[0]}: command not found" in said:
            return replace(output, exit=127)
        lines = [line for line in said.splitlines() if any(part in line for part in REFUSALS)]
        if lines:
            raise self._refused(output.argv, lines[-1].strip())
        return output

    def _refused(self, argv: Sequence[str], said: str) -> PrivilegeRefused:
        user = shlex.quote(self.become.user)
        asks = "is required" in said or "no password" in said
        wrong = MISTAKEN in said
        return (WrongPassword if wrong else PrivilegeRefused)(
            f"{self.name}: `{shown(argv)}` was not started as {self.become.user}: {said.removeprefix('sudo: ')}",
            host=self.name,
            hint=(
                "set `password` of `become` in the inventory to a secret, or allow the command in the sudoers file "
                "without a password"
            )
            if asks and self.become.password is None
            else f"correct the secret {self.become.password.of}"
            if wrong and self.become.password is not None
            else (
                f"allow the command for {user} in the sudoers file of the host, or change `become` in the inventory; "
                "`sudo -l` of the SSH user lists the allowed commands"
            ),
        )

    def pipe(self, argv: Sequence[str], *, deadline: Deadline) -> Any:
        """Start the program ``argv`` as the user of `become`, and return a channel to the standard streams of the program.

        Raises CouldNotVerify when the host cannot open channels, and HostError when the host cannot be used.
        """
        inner = self._piped()
        words, head = self.order(argv)
        channel = inner.pipe(words, deadline=deadline)
        if head:
            channel.sendall(head)
        return channel

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write ``data`` to ``path`` as the account of `become`, either completely or not at all.

        Raises HostError when the file cannot be written.
        """
        put_by_command(self, data, path, mode, for_bytes(len(data)))

    def get(self, path: str, *, limit: int = CAPTURE_LIMIT) -> bytes:
        """Read the first ``limit`` bytes of a file as the account of `become`.

        Raises FileNotFoundError when there is no such file, and HostError when it cannot be read.
        """
        return get_by_command(self, path, limit, for_bytes(limit))

    def forward_socket(self, path: str, name: str, user: str = "") -> AbstractContextManager[str]:
        """Open a private Unix socket that leads to ``path``; see ``Host.forward_socket``.

        The process that connects to ``path`` runs as ``user``, by default as the account of `become`.
        """
        if not isinstance(self.inner, Piped):
            return self.inner.forward_socket(path, name, user or self.become.user)
        from drillbook.hosts.ssh.tunnel import FarChannel  # noqa: PLC0415  loads the SSH client

        words = unix_socket.relay(path, user)
        return forwarded_privately(lambda: FarChannel(self.pipe(words, deadline=Deadline.after(KILL_S))), name)
