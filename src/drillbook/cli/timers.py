"""Installs and removes the timer of a project. It is a systemd user timer, or an entry in the user's crontab."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from drillbook.errors import DrillbookError, UsageError

EVERY_MIN = 15
"""Time, in minutes, between two calls of ``schedule.run``. A window must be at least this long; otherwise it may be
missed.
"""


class TimerError(DrillbookError):
    """Raised when the service manager or cron does not accept the timer."""

    code = "timer"


def name(root: Path) -> str:
    """Return the name of the systemd units of a project. It contains the name of the project's folder and a digest of
    its path, so that two projects have different names.
    """
    word = re.sub(r"[^A-Za-z0-9_-]+", "-", root.name).strip("-") or "project"
    return f"drillbook-{word}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}"


def command(inventory: str) -> list[str]:
    """Return the command that the timer runs in the project's folder. It calls ``schedule.run`` of this installation of
    Drillbook.
    """
    return [sys.executable, "-m", "drillbook.cli", "schedule.run", "--inventory", inventory]


def unit_folder() -> Path:
    """Return the folder of this user's systemd units. Source: systemd.unit(5), "User Unit Search Path"."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def units(root: Path, inventory: str) -> dict[Path, str]:
    """Return the contents of the unit files for the timer and its service. Each key is the path of a file."""
    stem = unit_folder() / name(root)
    argv = " ".join(_systemd_quoted(word) for word in command(inventory))
    service = f"""\
[Unit]
Description=Drillbook: start the drills of {_percent(root)} that are due

[Service]
Type=oneshot
WorkingDirectory={_percent(root)}
ExecStart={argv}
TimeoutStartSec=infinity
"""
    timer = f"""\
[Unit]
Description=Drillbook: look every {EVERY_MIN} minutes which drills of {_percent(root)} are due

[Timer]
OnCalendar=*:0/{EVERY_MIN}
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {Path(f"{stem}.service"): service, Path(f"{stem}.timer"): timer}


def cron_line(root: Path, inventory: str) -> str:
    """Return the line for the crontab. The line ends with a comment that identifies this project. A `%` is
    escaped, because an unescaped `%` is a newline. Source: crontab(5).
    """
    what = f"cd {shlex.quote(str(root))} && {shlex.join(command(inventory))}".replace("%", r"\%")
    return f"*/{EVERY_MIN} * * * * {what} {_mark(root)}"


def install_systemd(root: Path, inventory: str) -> list[str]:
    """Write and start the systemd timer. Returns lines of text for the user. Raises TimerError when systemd does not
    accept the timer.
    """
    _plain(root)
    written = units(root, inventory)
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    files = [f"written: {path}" for path in written]
    timer = f"{name(root)}.timer"
    try:
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", timer)
    except TimerError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return [*files, f"started: {timer}", "to keep it running while you are logged out: loginctl enable-linger"]


def remove_systemd(root: Path) -> list[str]:
    """Stop and remove the systemd timer. Returns lines of text for the user. The list is empty if there was no timer.
    Raises TimerError when systemd reports an error.
    """
    present = [path for path in units(root, "") if path.exists()]
    if not present:
        return []
    _systemctl("disable", "--now", f"{name(root)}.timer")
    for path in present:
        path.unlink()
    _systemctl("daemon-reload")
    return [f"removed: {path}" for path in present]


def install_cron(root: Path, inventory: str) -> list[str]:
    """Add the project's line to the user's crontab. If there is an older line of this project, replace it. Raises
    TimerError when cron refuses the change.
    """
    _plain(root)
    line = cron_line(root, inventory)
    _write_crontab([*_others(root), line])
    return [f"added to your crontab: {line}"]


def remove_cron(root: Path) -> list[str]:
    """Remove the project's line from the user's crontab. Returns lines of text for the user. The list is empty if the
    crontab had no such line.

    Raises TimerError when cron refuses the change.
    """
    lines, kept = _crontab(), _others(root)
    if len(kept) == len(lines):
        return []
    _write_crontab(kept)
    return ["removed from your crontab"]


def has_cron() -> bool:
    """Return True when the program crontab is installed."""
    return shutil.which("crontab") is not None


def _others(root: Path) -> list[str]:
    return [line for line in _crontab() if not line.endswith(_mark(root))]


def _mark(root: Path) -> str:
    return f"# {name(root)}"


def _crontab() -> list[str]:
    done = _done(["crontab", "-l"])
    if done.returncode != 0:
        if "no crontab" in done.stderr.lower():
            return []
        raise TimerError(f"your crontab cannot be read: {done.stderr.strip() or done.returncode}")
    return done.stdout.splitlines()


def _write_crontab(lines: list[str]) -> None:
    done = _done(["crontab", "-"], text="".join(f"{line}\n" for line in lines))
    if done.returncode != 0:
        raise TimerError(f"crontab did not accept the entry: {done.stderr.strip() or done.returncode}")


def _systemctl(*argv: str) -> None:
    done = _done(["systemctl", "--user", *argv])
    if done.returncode != 0:
        raise TimerError(
            f"systemctl --user {' '.join(argv)} failed: {done.stderr.strip() or done.returncode}",
            hint="is a systemd user session running? `loginctl enable-linger` starts one; or use --cron",
        )


def _done(argv: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        raise TimerError(f"{argv[0]} is not installed", hint="use the other option: --systemd or --cron") from None
    except subprocess.TimeoutExpired:
        raise TimerError(f"{' '.join(argv)} did not finish within 60 s") from None


def _plain(root: Path) -> None:
    if any(not char.isprintable() for char in str(root)):
        raise UsageError("the path of the project contains unprintable characters; a timer cannot contain such a path")


def _percent(path: Path) -> str:
    """Escape each `%` in ``text``, because `%` begins a specifier of systemd. Source: systemd.unit(5), "Specifiers"."""
    return str(path).replace("%", "%%")


def _systemd_quoted(word: str) -> str:
    r"""Quote ``word`` for `ExecStart=`. Each `%` and `$` is doubled, and each `\` and `"` is escaped. Source:
    systemd.service(5), "Command lines".
    """
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[A-Za-z0-9_@./:=%+,-]+", word) else f'"{escaped}"'
