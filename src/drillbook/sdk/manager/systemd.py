"""Service manager systemd. ``systemctl`` controls the units.

systemctl(1) and systemd.unit(5) explain the states, and org.freedesktop.systemd1(5) explains the properties.
"""

from __future__ import annotations

from drillbook.sdk.host import Deadline, Host, once_more
from drillbook.sdk.manager.unit import Argv, Manager, UnitState

SETTLED_S = 1.0
"""Seconds that a unit must have been active to count as running. Only used for a unit that does not notify systemd when it
is ready.
"""
_STATES = {"active": "running", "reloading": "running", "refreshing": "running", "inactive": "stopped", "failed": "failed"}
YOUNG = "starting"
_SILENT = ("simple", "exec", "idle")
"""Types of services that systemd reports as active as soon as the process exists, even if the service is broken."""
# UNIT TOOL...: start the unit. After several failed starts systemd refuses every other one ("Start request repeated too
# quickly") until the count is reset, also when the cause is mended; see StartLimitBurst in systemd.unit(5).
_START = 'unit=$1; shift; "$@" start "$unit" || { "$@" reset-failed "$unit" 2>/dev/null && "$@" start "$unit"; }'
# UNIT SYSTEMCTL...: print the unit's properties, and the host's uptime, on which the timestamps in the properties are based.
_QUERY = """
unit=$1; shift
"$@" show -p LoadState,ActiveState,SubState,MainPID,Result,Type,ActiveEnterTimestampMonotonic -- "$unit" || exit
read -r up _ < /proc/uptime && echo "Up=$up"
"""
# UNIT SYSTEMCTL...: print the main process and kill it, wait until systemd notices, and cancel a scheduled restart. Units
# that require this unit stay as systemd leaves them. The pid is no argument, so that a rule of sudoers matches every run.
_KILL = """
unit=$1; shift
pid=$("$@" show -p MainPID --value -- "$unit") && echo "$pid" || exit
"$@" kill --kill-who=main --signal=KILL -- "$unit" || exit
tries=0
while test "$("$@" show -p MainPID --value -- "$unit")" = "$pid" && test "$tries" -lt 50; do
  tries=$((tries + 1))
  sleep 0.1 2>/dev/null || sleep 1
done
"$@" stop --job-mode=ignore-requirements -- "$unit"
"""
# UNIT SYSTEMCTL...: print all running units that systemd stops together with UNIT.
_TOGETHER = """
todo=$1 unit=$1 seen=" "; shift
while test -n "$todo"; do
  more=$("$@" show -p RequiredBy,RequisiteOf,BoundBy,ConsistsOf,PropagatesStopTo --value -- $todo) || exit
  todo=
  for one in $more; do
    case $seen in *" $one "*) continue ;; esac
    seen="$seen$one " todo="$todo $one"
  done
done
for one in $seen; do
  test "$one" = "$unit" || test "$one" = "$unit.service" || ! "$@" is-active --quiet -- "$one" || echo "$one"
done
"""
# UNIT SYSTEMCTL...: print the active sockets, timers and paths that would start UNIT again.
_TRIGGERS = """
unit=$1; shift
for one in $("$@" show -p TriggeredBy --value -- "$unit"); do ! "$@" is-active --quiet -- "$one" || echo "$one"; done
"""
# Asks polkit(8) if this user is permitted to start and stop the unit $1. Exits with 0 if so, or if the user is root. Exits with
# 3 if polkit refuses, or if pkcheck is not installed. Changes nothing.
_MAY = """
test "$(id -u)" != 0 || exit 0
command -v pkcheck >/dev/null || exit 3
for verb in start stop; do
  pkcheck --action-id org.freedesktop.systemd1.manage-units --process $$ --detail unit "$1" --detail verb "$verb" \
    >/dev/null 2>&1 || exit 3
done
"""
# UNIT JOURNALCTL...: print the log; fail for a user who may not read it (journalctl itself would exit with 0).
_TAIL = """
unit=$1; shift
found=$("$@" -q -u "$unit") || exit
if test -n "$found"; then printf '%s\\n' "$found"; exit; fi
said=$(LC_ALL=C "$@" -u "$unit" 2>&1 >/dev/null)
case "$said $*" in
  *" --user "*"not seeing messages"*) exit 0 ;;
  *"not seeing messages"*|*"insufficient permissions"*) printf '%s\\n' "$said" >&2; exit 1 ;;
esac
"""


class Systemd(Manager):
    """The systemd manager of one host, or the manager of one user of the host."""

    def _tool(self) -> Argv:
        return (*self.sudo, "systemctl", *self._whose)

    @property
    def _whose(self) -> Argv:
        return ("--user",) if self.config.user else ()

    def start(self, unit: str) -> Argv:
        """Return the command that starts ``unit``.

        Systemd may refuse to start the unit because the unit failed many times. The command then resets the count of failures,
        and starts the unit.
        """
        return ("sh", "-c", _START, "sh", unit, *self._tool())

    def stop(self, unit: str) -> Argv:
        """Return the systemctl command that stops ``unit``."""
        return (*self._tool(), "stop", unit)

    def query(self, unit: str) -> Argv:
        """Return the command that prints the state of ``unit``. ``read`` parses its output."""
        return ("sh", "-c", _QUERY, "sh", unit, *self._tool())

    def read(self, unit: str, text: str) -> UnitState | None:
        """Parse the state of ``unit`` in the output of ``query``. Return None when systemctl does not know the unit."""
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if values.get("LoadState") not in ("loaded", "masked") or "ActiveState" not in values:
            return None
        active, pid = values["ActiveState"], int(values.get("MainPID", "0"))
        state = _STATES.get(active, active)
        if state == "running" and values.get("Type") in _SILENT and 0 <= _age(values) < SETTLED_S:
            state = YOUNG
        more = ", masked" if values["LoadState"] == "masked" else ""
        more += ", out of memory" if values.get("Result") == "oom-kill" and active != "active" else ""
        return UnitState(unit, state, f"{active} ({values.get('SubState', '')}{more})", pid or None)

    def state(self, host: Host, unit: str, deadline: Deadline) -> UnitState:
        """Query the state of ``unit``. If the unit has just become active, query its state again after ``SETTLED_S``."""
        seen = super().state(host, unit, deadline)
        if seen.state == YOUNG and deadline.remaining() > 2 * SETTLED_S:
            deadline.wait(SETTLED_S)
            seen = super().state(host, unit, deadline)
        return seen

    def main(self, unit: str) -> Argv:
        """Return the command that prints the process id of the main process of ``unit``."""
        return (*self._tool(), "show", "-p", "MainPID", "--value", unit)

    def log(self, unit: str) -> Argv:
        """Return the command that shows the end of the log of ``unit``."""
        return (*self.sudo, "journalctl", *self._whose, "-n", "50", "-u", unit)

    def tail(self, unit: str, lines: int) -> tuple[Argv, ...]:
        """Return the command that prints the last ``lines`` lines of the log.

        It fails when this user may not read the log.
        """
        words = (*self.sudo, "journalctl", *self._whose, "--no-pager", "-o", "short-iso", "-n", str(lines))
        return (("sh", "-c", _TAIL, "sh", unit, *words),)

    def kill(self, seen: UnitState) -> Argv:
        """Return the command that kills the main process. The unit stays down, even if systemd would normally restart it."""
        super().kill(seen)
        return ("sh", "-c", _KILL, "sh", seen.unit, *self._tool())

    def passing(self, host: Host, unit: str, deadline: Deadline) -> str:
        """Return the reason why ``unit`` cannot be started again after a stop, or an empty text if it can be started.

        A unit that ``systemd-run`` made disappears when it exits, and a masked unit cannot be started.
        """
        look = (*self._tool(), "show", "-p", "CanStart,Transient", unit)
        seen = once_more(lambda: host.run(look, deadline=deadline)).text.split()
        if "Transient=yes" in seen:
            return "the unit is transient (for example made by systemd-run), so it disappears when it stops"
        return (
            "" if "CanStart=yes" in seen else "systemd would not start the unit: it is masked, or has RefuseManualStart=yes"
        )

    def by_sudo(self, verb: str, unit: str) -> tuple[Argv, ...]:
        """Return the systemctl commands that run by `sudo`. The result is empty unless the inventory sets `sudo`."""
        if not self.sudo:
            return ()
        if verb != "kill":
            return ((*self._tool(), verb, unit),)
        kill = ("kill", "--kill-who=main", "--signal=KILL", "--", unit)
        return ((*self._tool(), *kill), (*self._tool(), "stop", "--job-mode=ignore-requirements", "--", unit))

    def denied(self, host: Host, unit: str, deadline: Deadline) -> str:
        """Return the reason why the account may not start and stop ``unit``, or an empty text if the account may do this.

        The only reason is that systemd lets only root do this, and polkit makes no exception for the account.
        """
        if self.sudo or self.config.user:
            return ""
        seen = once_more(lambda: host.run(("sh", "-c", _MAY, "sh", unit), deadline=deadline))
        return (
            ("systemd lets only root start and stop units, and polkit permits this to nobody else") if seen.exit == 3 else ""
        )

    def reviving(self, host: Host, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """Return the active sockets, timers and paths that would start ``unit`` again after it was stopped."""
        return self._units(host, _TRIGGERS, unit, deadline)

    def together(self, host: Host, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """Return the running units that stop together with ``unit``.

        Such units require ``unit``, are bound to it, or are part of it. Units that in turn stop together with one of these
        are included.
        """
        return self._units(host, _TOGETHER, unit, deadline)

    def _units(self, host: Host, script: str, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """Run ``script`` for ``unit`` and return the units that it prints."""
        look = ("sh", "-c", script, "sh", unit, *self._tool())
        return tuple(once_more(lambda: host.run(look, deadline=deadline)).check().text.split())


def _age(values: dict[str, str]) -> float:
    """Return the seconds since the unit became active.

    Returns -1 when this is unknown, for example because /proc/uptime belongs to a container.
    """
    try:
        return max(-1.0, float(values["Up"]) + 0.01 - int(values["ActiveEnterTimestampMonotonic"]) / 1e6)
    except (KeyError, ValueError):
        return -1.0
