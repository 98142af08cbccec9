"""Tells how a person puts a restored copy in the place of the service's data. This is the end of a restore by hand. The
runbook of a drill shows it after the restore.

The restore itself changes nothing that exists. The commands of this module stop the service, set its old data aside, and put
the copy in its place. When one of them fails, the commands after it do nothing, also in a shell that continues after an
error.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from drillbook.sdk.manager import Manager, manager_with
from drillbook.sdk.manual_restore import STOP, Block, ManualRestore
from drillbook.sdk.service import is_sandbox

ASIDE = ".before-restore"
"""Suffix that is added to the name of the old data when this data is moved aside."""


def into_service(manual: ManualRestore) -> bool:
    """Return True when the target is the service itself, and not a sandbox."""
    return not is_sandbox(manual.target)


def swapped(
    manual: ManualRestore, *prepare: str, restored: str = '"${folder:?}/data"', last: Sequence[str] = ()
) -> list[Block]:
    """Return the commands that put the restored folder in the place of the service's data, and start the service.

    ``prepare``: commands that make the copy fit for the service. ``restored``: path of the restored folder, as it is
    written in a shell command. ``last``: commands after the move, which start a service without a unit.
    """
    data = manual.target.data
    return [
        *_stopped(manual),
        manual.block(
            f"umask 077; folder={shlex.quote(manual.folder)} data={shlex.quote(data)}",
            f'test -e "${{folder:?}}/restored" || {STOP} the backup was not restored completely',
            *prepare,
            f'test ! -e "$data{ASIDE}" || {STOP} old data was set aside before; look what it is, and move it away',
            f'test -z "${{folder:+x}}" || test ! -e "$data" || mv -T -- "$data" "$data{ASIDE}" \\',
            f"  || {STOP} a mount point, or no right to move it",
            f'mv -T -- {restored} "$data"',
            'ls -ld -- "$data"',
            *last,
        ),
        *_started(manual),
    ]


def told(manual: ManualRestore, *steps: str, after: str = "") -> str:
    """Return a text that tells a person how to put the restored copy in the place of the service's data. ``steps``:
    what to do between the stop and the start of the service. ``after``: what to do after the start."""
    manager, unit = _manager(manual), manual.target.unit
    stop = f"stop the service (`{shlex.join(manager.stop(unit))}`)" if unit else "stop the service"
    start = f"start the service (`{shlex.join(manager.start(unit))}`)" if unit else "start the service"
    listed = "; ".join(f"({number}) {step}" for number, step in enumerate(filter(None, (stop, *steps, start, after)), 1))
    return (
        f"then put the restored data into the service {manual.target.name} on {manual.target.host} by hand (the "
        f"service is unchanged so far): {listed}."
    )


def in_general(manual: ManualRestore) -> str:
    """Return instructions for a person: how to replace the data of a service by the restored copy. They suit every kind of
    service."""
    data = manual.target.data
    return told(
        manual,
        "stop the server that the commands above have started, if any",
        f"move {data or 'the data of the service'} to another name",
        f"move the content of {manual.folder} to the place of the old data, with the owner and the rights of the old data",
    )


def _manager(manual: ManualRestore) -> Manager:
    return manager_with(manual.hosts[manual.target.host].manager)


def _stopped(manual: ManualRestore) -> list[Block]:
    if not (unit := manual.target.unit):
        return []
    return [Block(manual.target.host, "", (shlex.join(_manager(manual).stop(unit)),))]


def _started(manual: ManualRestore) -> list[Block]:
    if not (unit := manual.target.unit):
        return []
    return [Block(manual.target.host, "", (shlex.join(_manager(manual).start(unit)),))]


def found_folder(manual: ManualRestore) -> Sequence[str]:
    """Return the commands that set the shell variable ``restored``. Its value is a folder in the copy: the one with the content
    of the service's folder.

    The paths in an archive usually begin at the root of the file system, or at the folder above the service's folder. If
    they begin inside the service's folder, the commands cannot verify that the archive is of this folder. Then nothing is
    moved until a person has looked at the copy, and has set the variable ``content``.
    """
    path, copy = manual.target.data, f"{manual.folder}/data"
    whole, last = shlex.quote(path.lstrip("/")), shlex.quote(path.rstrip("/").rpartition("/")[2])
    asked = f"If {copy} itself holds what was in {path}, type content={copy} and paste these commands again."
    return (
        f'for restored in "${{folder:?}}/data"/{whole} "$folder/data"/{last} ""; do',
        '  test -d "$restored" && break; done',
        'test "${content:-}" != "${folder:?}/data" || restored=$content',
        f"""test -n "$restored" || {{ ls -lA -- "${{folder:?}}/data"; printf "%s\\n" {shlex.quote(asked)}; }}""",
        f'test -n "$restored" || {STOP} the copy has no folder of this name',
    )
