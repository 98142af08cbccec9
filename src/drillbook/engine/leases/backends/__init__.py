"""Lease backends, each in a shell file. A backend is a watcher or a boot hook. A watcher runs on the target and
observes the lease. A boot hook runs the undo after a reboot of the target.

Lives here: the shell functions of each backend, and the list of all backends.
Lives elsewhere: the lease itself and its watcher (`engine.leases`).

To add a backend, write a file in this folder, list it in WATCHERS or BOOT_HOOKS, and add its name to `Watcher` or
`BootHook` in `sdk.host`. The file implements these functions; WORD is the name of the backend in the inventory:

- `watch_WORD_usable HOW`, `boot_WORD_usable HOW`: succeed when this user can use the backend on this host; otherwise fail by
  calling `unusable REASON`. HOW is `named` when the inventory names this backend, and `auto` when the first usable backend is
  chosen.
- `watch_WORD_start RUN`: start `sh $folder/watch.sh $folder watch`. That process must not share descriptors (9 is the lock),
  a process group, a terminal or a parent with this session.
- `boot_WORD_set RUN FOLDER`: run `sh -c "$at_boot" sh FOLDER` as this user at every boot; `boot_WORD_clear RUN` removes
  this boot hook, and does nothing when the hook is not set.

These functions may use the functions and variables of `lease.sh` and `shared_functions.sh`; `$manager` is the service manager of the
host: `system`, `sudo` or `user`.
"""

from collections.abc import Mapping

from drillbook.sdk.host import BootHook, Watcher

WATCHERS: Mapping[Watcher, str] = {"systemd": "systemd_unit.sh", "watcher": "detached_shell.sh"}
"""Shell files of the watchers. The key of each file is the name of the watcher. The name `auto` chooses the first usable
watcher.
"""
BOOT_HOOKS: Mapping[BootHook, str] = {"systemd": "boot_unit.sh", "cron": "crontab.sh"}
"""Shell files of the boot hooks. The key of each file is the name of the boot hook. The name `auto` chooses the first usable
boot hook.
"""
_SHARED = ("systemd.sh",)

FILES = tuple(f"backends/{name}" for name in (*_SHARED, *WATCHERS.values(), *BOOT_HOOKS.values()))


def words() -> str:
    """Return shell assignments that pass the names of the backends to `lease.sh`, in order of preference."""
    return f"watchers='{' '.join(WATCHERS)}'\nboot_hooks='{' '.join(BOOT_HOOKS)}'\n"
