"""Units of systemd, ruled by ``systemctl``."""

from __future__ import annotations

from drillbook.manager.unit import Argv, Manager, UnitState

_STATES = {"active": "running", "reloading": "running", "inactive": "stopped", "failed": "failed"}


class Systemd(Manager):
    """The systemd of one host, or of one of its users."""

    def _tool(self) -> Argv:
        return (*self.sudo, "systemctl", *(("--user",) if self.config.user else ()))

    def start(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "start", unit)

    def stop(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "stop", unit)

    def query(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "show", "-p", "LoadState,ActiveState,SubState,MainPID,Result", unit)

    def read(self, unit: str, text: str) -> UnitState | None:
        """See Manager."""
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if values.get("LoadState") not in ("loaded", "masked") or "ActiveState" not in values:
            return None
        active = values["ActiveState"]
        pid = int(values.get("MainPID", "0"))
        why = ", out of memory" if values.get("Result") == "oom-kill" and active != "active" else ""
        return UnitState(unit, _STATES.get(active, active), f"{active} ({values.get('SubState', '')}{why})", pid or None)

    def main(self, unit: str) -> Argv:
        """See Manager."""
        return (*self._tool(), "show", "-p", "MainPID", "--value", unit)

    def log(self, unit: str) -> Argv:
        """See Manager."""
        return (*self.sudo, "journalctl", *(("--user",) if self.config.user else ()), "-n", "50", "-u", unit)

    def tail(self, unit: str, lines: int) -> tuple[Argv, ...]:
        """See Manager."""
        user = ("--user",) if self.config.user else ()
        return ((*self.sudo, "journalctl", *user, "--no-pager", "-q", "-o", "short-iso", "-n", str(lines), "-u", unit),)
