"""Asks sudo on a host, before a drill begins, whether it would start a command as another user. The command is not started."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.errors import NotReady
from drillbook.sdk.context import Context
from drillbook.sdk.host import Output, printable, shown

# USER ASKS COMMAND...: let sudo say whether it would start the command as USER, without starting it. Exit 1: no; 3: only with a
# password. With ASKS=yes the password is on standard input. Root may start everything; -l -l shows the rule, see sudo(8).
MAY = """
user=$1 asks=$2
shift 2
test "$(id -un)" != "$user" && test "$(id -u)" != 0 || exit 0
LC_ALL=C
export LC_ALL
if test "$asks" = yes; then
  sudo -S -k -p '' -l -u "$user" -- "$@" >/dev/null
  exit
fi
said=$(sudo -n -l -l -u "$user" -- "$@") || exit
case $said in
  *'Sudoers entry'*) ;;
  *) exit 0 ;;
esac
case $said in
  *!authenticate*) exit 0 ;;
esac
sudo -n -v 2>/dev/null || exit 3
"""
REFUSALS = (
    "a password is required",
    "a terminal is required",
    "no password was provided",
    "incorrect password attempt",
    "is not in the sudoers file",
    "is not allowed to",
    "may not run sudo",
    "unknown user",
    "you must have a tty",
    "no new privileges",
    "must be owned by uid 0",
    "account validation failure",
    "PAM",
)
"""Parts of the messages by which sudo refuses a command; see sudo(8)."""


def refusal(output: Output) -> str:
    """Return the reason why sudo would not start a command. The result is empty if sudo would start the command.

    ``output``: output of the script ``MAY``.
    """
    said = printable(output.stderr).strip()
    if output.exit == 3:
        return "sudo asks for a password"
    if output.exit == 1 and not said:
        return "the sudoers file of the host does not allow this command"
    lines = [line for line in said.splitlines() if any(part in line for part in REFUSALS)]
    return lines[-1].removeprefix("sudo: ") if output.exit == 1 and lines else ""


def need_account(ctx: Context, user: str, argv: Sequence[str]) -> None:
    """Check that the host has ``user``, and that the account of the step may start ``argv`` as this user by sudo. Raises
    NotReady otherwise.

    Nothing is checked for an empty user, which is the account of the step itself.
    """
    if not user:
        return
    if not ctx.run("id", "--", user).ok:
        raise NotReady(f"{ctx.host.name}: there is no user {user}", hint="correct `run_as`")
    output = ctx.run("sh", "-c", MAY, "sudo", user, "no", *argv)
    if why := "sudo is not installed" if output.exit == 127 else refusal(output):
        raise NotReady(
            f"{ctx.host.name}: `{shown(argv, limit=80)}` would not be started as {user}: {why}",
            hint="allow the command in the sudoers file of the host, without a password, or correct `run_as`",
        )
