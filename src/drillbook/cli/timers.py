"""Installs and removes the timers of a project, one for each inventory. A timer is a systemd user timer, or an entry in the
user's crontab.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from drillbook.atomic_file import replace_file
from drillbook.errors import DrillbookError, UsageError

EVERY_MIN = 15
"""Time, in minutes, between two calls of ``schedule.run``. A drill that may begin only in a shorter window may be
missed, because the window may lie between two calls.
"""


OWN_SCHEDULER = f"call `invoke schedule.run --inventory NAME` every {EVERY_MIN} minutes from your own scheduler"
"""Hint for a machine on which neither cron nor systemd can be used."""
LINGER = "to keep the timer running while you are logged out: loginctl enable-linger"
"""Next step after the installation of a timer of systemd. Source: loginctl(1)."""
_WORD = re.compile(r"[A-Za-z0-9_-]{1,60}")


class TimerError(DrillbookError):
    """Raised when the service manager or cron does not accept the timer."""

    code = "timer"


def family(root: Path) -> str:
    """Return the beginning of the names of a project's timers. It contains the name of the project's folder and a digest of
    its path, so that two projects have different names. In earlier versions, a project had a single timer, and this text was
    its whole name.
    """
    word = re.sub(r"[^A-Za-z0-9_-]+", "-", root.name).strip("-") or "project"
    return f"drillbook-{word}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}"


def name(root: Path, inventory: str) -> str:
    """Return the name of the timer for an inventory of a project. ``inventory``: a result of ``inventory_of``."""
    if _WORD.fullmatch(inventory):
        return f"{family(root)}-{inventory}"
    word = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(inventory).stem).strip("-")[:40] or "inventory"
    return f"{family(root)}-{word}.{hashlib.sha256(os.fsencode(inventory)).hexdigest()[:8]}"


def inventory_of(root: Path, given: str) -> str:
    """Return the text by which a timer names an inventory. It is the name of a file in ``inventory/``, or an absolute path.
    ``given``: name or path of the inventory, as the user wrote it.
    """
    if not given.endswith((".yml", ".yaml")):
        return given
    path = Path(given).resolve()
    named = path.parent == root / "inventory" and path.suffix == ".yml"
    return path.stem if named else str(path)


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
    stem = unit_folder() / name(root, inventory)
    argv = " ".join(_systemd_quoted(word) for word in command(inventory))
    service = f"""\
[Unit]
Description=Drillbook: start the drills of {_percent(root)} that are due ({_percent(inventory)})

[Service]
Type=oneshot
WorkingDirectory={_percent(root)}
ExecStart={argv}
TimeoutStartSec=infinity
"""
    timer = f"""\
[Unit]
Description=Drillbook: check every {EVERY_MIN} minutes which drills of {_percent(root)} are due ({_percent(inventory)})

[Timer]
OnCalendar=*:0/{EVERY_MIN}
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {Path(f"{stem}.service"): service, Path(f"{stem}.timer"): timer}


def cron_line(root: Path, inventory: str) -> str:
    """Return the line for the crontab. The line ends with a comment that identifies this project and the inventory. A `%` is
    escaped, because an unescaped `%` is a newline. Source: crontab(5).
    """
    what = f"cd {shlex.quote(str(root))} && {shlex.join(command(inventory))}".replace("%", r"\%")
    return f"*/{EVERY_MIN} * * * * {what} # {name(root, inventory)}"


def install_systemd(root: Path, inventory: str) -> list[str]:
    """Write and start the systemd timer of this inventory. Returns lines of text for the user. Raises TimerError when
    systemd does not accept the timer.
    """
    _plain(root, inventory)
    written = units(root, inventory)
    timer = f"{name(root, inventory)}.timer"
    before: dict[Path, bytes | None] = {}
    try:
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            before[path] = path.read_bytes() if path.exists() else None
            replace_file(path, text.encode(), mode=None)
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", timer)
    except (OSError, TimerError) as error:
        _put_back(before)
        if isinstance(error, OSError):
            where = error.filename or unit_folder()  # a full disk names no file
            raise TimerError(f"{where} cannot be written: {error.strerror}", hint=OWN_SCHEDULER) from None
        raise
    files = [f"written: {path}" for path in written]
    files += [line for old in _stems(root, inventory) if old.name == family(root) for line in _remove_unit(old)]
    return [*files, f"started: {timer}", LINGER]


def _put_back(before: dict[Path, bytes | None]) -> None:
    """Restore the old unit files after a failed installation, and make systemd read them again. A file that cannot
    be restored keeps its new content. It is not deleted, because the timer of an earlier installation may still need it.
    ``before``: the old content of each file; None for a file that did not exist.
    """
    for path, data in before.items():
        with suppress(OSError):
            if data is None:
                path.unlink(missing_ok=True)
            else:
                replace_file(path, data, mode=None)
    if any(before.values()):
        with suppress(TimerError):
            _systemctl("daemon-reload")


def remove_systemd(root: Path, inventory: str = "") -> list[str]:
    """Stop and remove the systemd timer of ``inventory``. If ``inventory`` is empty, remove all systemd timers of the
    project. Returns lines of text for the user, or an empty list if there was no timer. Raises TimerError when systemd
    reports an error.
    """
    return [line for stem in _stems(root, inventory) for line in _remove_unit(stem)]


def _stems(root: Path, inventory: str) -> list[Path]:
    """Return the paths, without endings, of the unit files for ``inventory``. If ``inventory`` is empty, return the paths of
    all unit files of the project.
    """
    folder = unit_folder()
    paths = [*folder.glob(f"{family(root)}.*"), *folder.glob(f"{family(root)}-*")]
    stems = sorted({path.with_suffix("") for path in paths if path.suffix in (".service", ".timer")})
    return [
        stem
        for stem in stems
        if not inventory or stem.name == name(root, inventory) or _is_former_unit(stem, root, inventory)
    ]


def _is_former_unit(stem: Path, root: Path, inventory: str) -> bool:
    """Return True when an earlier version wrote this unit for ``inventory``."""
    try:
        text = stem.with_name(f"{stem.name}.service").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    commands = [f" --inventory {_systemd_quoted(word)}\n" for word in _spellings(inventory)]
    return stem.name == family(root) and any(words in text for words in commands)


def _remove_unit(stem: Path) -> list[str]:
    _systemctl("disable", "--now", f"{stem.name}.timer")
    present = [path for ending in ("service", "timer") if (path := stem.with_name(f"{stem.name}.{ending}")).exists()]
    for path in present:
        path.unlink()
    _systemctl("daemon-reload")
    return [f"removed: {path}" for path in present]


def install_cron(root: Path, inventory: str) -> list[str]:
    """Add a line for this project and inventory to the user's crontab. Older lines for the same project and inventory are
    removed. Raises TimerError when cron refuses the change.
    """
    _plain(root, inventory)
    line = cron_line(root, inventory)
    _write_crontab([*_others(root, inventory), line])
    return [f"added to your crontab: {line}"]


def remove_cron(root: Path, inventory: str = "") -> list[str]:
    """Remove the line of ``inventory`` from the user's crontab. If ``inventory`` is empty, remove all lines of the project.
    Returns lines of text for the user, or an empty list if the crontab had no such line. Raises TimerError when cron
    refuses the change.
    """
    lines, kept = _crontab(), _others(root, inventory)
    if len(kept) == len(lines):
        return []
    _write_crontab(kept)
    return [f"removed from your crontab: {line.rpartition('# ')[2]}" for line in lines if line not in kept]


def has_cron() -> bool:
    """Return True when the program crontab is installed."""
    return shutil.which("crontab") is not None


def _others(root: Path, inventory: str) -> list[str]:
    """Return the lines of the crontab that do not belong to the timer of ``inventory``. If ``inventory`` is empty, return
    the lines that do not belong to any timer of the project.
    """
    return [line for line in _crontab() if not _is_line_of(line, root, inventory)]


def _is_line_of(line: str, root: Path, inventory: str) -> bool:
    command, _, mark = line.rpartition(" # ")
    if not inventory:
        return re.fullmatch(rf"{re.escape(family(root))}(-[A-Za-z0-9_.-]+)?", mark) is not None
    former = [f" --inventory {shlex.quote(word)}".replace("%", r"\%") for word in _spellings(inventory)]
    return mark == name(root, inventory) or (mark == family(root) and command.endswith(tuple(former)))


def _spellings(inventory: str) -> tuple[str, str]:
    """Return the two texts by which timers of earlier versions may name ``inventory``: its name, or its path."""
    return inventory, f"inventory/{inventory}.yml"


def _crontab() -> list[str]:
    done = _done(["crontab", "-l"])
    if done.returncode != 0:
        if "no crontab" in done.stderr.lower():
            return []
        raise TimerError(f"your crontab cannot be read: {done.stderr.strip() or done.returncode}", hint=OWN_SCHEDULER)
    return done.stdout.splitlines()


def _write_crontab(lines: list[str]) -> None:
    done = _done(["crontab", "-"], text="".join(f"{line}\n" for line in lines))
    if done.returncode != 0:
        raise TimerError(f"crontab did not accept the entry: {done.stderr.strip() or done.returncode}", hint=OWN_SCHEDULER)


def _systemctl(*argv: str) -> None:
    done = _done(["systemctl", "--user", *argv])
    if done.returncode != 0:
        raise TimerError(
            f"systemctl --user {' '.join(argv)} failed: {done.stderr.strip() or done.returncode}",
            hint=f"is a systemd user session running? `loginctl enable-linger` starts one; or {_instead()}",
        )


def _instead() -> str:
    """Return what to do on a machine without a usable systemd."""
    return (
        f"use --cron, or {OWN_SCHEDULER}" if has_cron() else f"install the package cron and use --cron, or {OWN_SCHEDULER}"
    )


def _done(argv: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=60)
    except OSError as error:
        # If a folder on the PATH cannot be read, a program that is not installed is a program without permission.
        missing = shutil.which(argv[0]) is None
        raise TimerError(
            f"{argv[0]} is not installed" if missing else f"{argv[0]} cannot be started: {error.strerror}",
            hint=f"install the package cron, or {OWN_SCHEDULER}" if argv[0] == "crontab" else _instead(),
        ) from None
    except subprocess.TimeoutExpired:
        raise TimerError(f"{' '.join(argv)} did not finish within 60 s") from None


def _plain(*words: Path | str) -> None:
    if any(not char.isprintable() for word in words for char in str(word)):
        raise UsageError("the path of the project contains unprintable characters; a timer cannot contain such a path")


def _percent(path: Path | str) -> str:
    """Escape each `%` in ``path``, because `%` begins a specifier of systemd. Source: systemd.unit(5), "Specifiers"."""
    return str(path).replace("%", "%%")


def _systemd_quoted(word: str) -> str:
    r"""Quote ``word`` for `ExecStart=`. Each `%` and `$` is doubled, and each `\` and `"` is escaped. Source:
    systemd.service(5), "Command lines".
    """
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[A-Za-z0-9_@./:=%+,-]+", word) else f'"{escaped}"'
