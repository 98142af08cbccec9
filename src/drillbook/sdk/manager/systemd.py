"""Units of systemd, ruled by ``systemctl``.

What its words mean is in systemctl(1), systemd.unit(5), and org.freedesktop.systemd1(5) for the properties.
"""

from __future__ import annotations

from drillbook.sdk.host import Deadline, Host, once_more
from drillbook.sdk.manager.unit import Argv, Manager, UnitState

SETTLED_S = 1.0
"""How long a unit that does not say when it is ready must have been active to be called running."""
_STATES = {"active": "running", "reloading": "running", "refreshing": "running", "inactive": "stopped", "failed": "failed"}
YOUNG = "starting"
_SILENT = ("simple", "exec", "idle")
"""Types of service that are active from the moment when their process was begun, also one that cannot work."""
# UNIT SYSTEMCTL...: what systemd says of the unit, and the time by the clock of its stamps.
_QUERY = """
unit=$1; shift
"$@" show -p LoadState,ActiveState,SubState,MainPID,Result,Type,ActiveEnterTimestampMonotonic -- "$unit" || exit
read -r up _ < /proc/uptime && echo "Up=$up"
"""
# UNIT PID SYSTEMCTL...: kill the main process, wait until systemd has seen it, and cancel the start that may now be due.
# What needs the unit is left as systemd left it then.
_KILL = """
unit=$1 pid=$2; shift 2
"$@" kill --kill-who=main --signal=KILL -- "$unit" || exit
tries=0
while test "$("$@" show -p MainPID --value -- "$unit")" = "$pid" && test "$tries" -lt 50; do
  tries=$((tries + 1))
  sleep 0.1 2>/dev/null || sleep 1
done
"$@" stop --job-mode=ignore-requirements -- "$unit"
"""
# UNIT SYSTEMCTL...: prints the units that run now and that systemd stops together with the unit, whoever they are for.
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
# UNIT SYSTEMCTL...: prints the units that run now and would start the unit by themselves: its sockets, timers, paths.
_TRIGGERS = """
unit=$1; shift
for one in $("$@" show -p TriggeredBy --value -- "$unit"); do ! "$@" is-active --quiet -- "$one" || echo "$one"; done
"""
# UNIT JOURNALCTL...: the log. Who may read none of it is told so; journalctl itself ends well then.
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
    """The systemd of one host, or of one of its users."""

    def _tool(self) -> Argv:
        return (*self.sudo, "systemctl", *self._whose)

    @property
    def _whose(self) -> Argv:
        return ("--user",) if self.config.user else ()

    def start(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "start", unit)

    def stop(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "stop", unit)

    def query(self, unit: str) -> Argv:
        """See Manager."""
        return ("sh", "-c", _QUERY, "sh", unit, *self._tool())

    def read(self, unit: str, text: str) -> UnitState | None:
        """See Manager."""
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
        """See Manager; one that has only just become active is looked at again once it can be told whether it runs."""
        seen = super().state(host, unit, deadline)
        if seen.state == YOUNG and deadline.remaining() > 2 * SETTLED_S:
            deadline.wait(SETTLED_S)
            seen = super().state(host, unit, deadline)
        return seen

    def main(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "show", "-p", "MainPID", "--value", unit)

    def log(self, unit: str) -> Argv:
        """See Manager."""
        return (*self.sudo, "journalctl", *self._whose, "-n", "50", "-u", unit)

    def tail(self, unit: str, lines: int) -> tuple[Argv, ...]:
        """See Manager; fails where this user may read nothing of it."""
        words = (*self.sudo, "journalctl", *self._whose, "--no-pager", "-o", "short-iso", "-n", str(lines))
        return (("sh", "-c", _TAIL, "sh", unit, *words),)

    def kill(self, seen: UnitState) -> Argv:
        """See Manager; a unit that systemd would start again stays down."""
        super().kill(seen)
        return ("sh", "-c", _KILL, "sh", seen.unit, str(seen.pid), *self._tool())

    def passing(self, host: Host, unit: str, deadline: Deadline) -> str:
        """See Manager: units of ``systemd-run`` are gone once they end, and masked ones are not started."""
        look = (*self._tool(), "show", "-p", "CanStart,Transient", unit)
        seen = once_more(lambda: host.run(look, deadline=deadline)).text.split()
        if "Transient=yes" in seen:
            return "the unit was made by systemd-run or the like, so it is gone once it ends"
        return "" if "CanStart=yes" in seen else "systemd would not start it: it is masked, or has RefuseManualStart="

    def reviving(self, host: Host, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """See Manager: its sockets, timers and paths."""
        return self._units(host, _TRIGGERS, unit, deadline)

    def together(self, host: Host, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """See Manager: units that require it, are bound to it or part of it, and those of theirs."""
        return self._units(host, _TOGETHER, unit, deadline)

    def _units(self, host: Host, script: str, unit: str, deadline: Deadline) -> tuple[str, ...]:
        """Units that ``script`` prints of ``unit``."""
        look = ("sh", "-c", script, "sh", unit, *self._tool())
        return tuple(once_more(lambda: host.run(look, deadline=deadline)).check().text.split())


def _age(values: dict[str, str]) -> float:
    """Seconds since the unit became active; -1 when they cannot be told, as where /proc/uptime is a container's own."""
    try:
        return max(-1.0, float(values["Up"]) + 0.01 - int(values["ActiveEnterTimestampMonotonic"]) / 1e6)
    except (KeyError, ValueError):
        return -1.0
