"""Commands with which a person restores a snapshot of restic without Drillbook."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from drillbook.sdk import manual_move
from drillbook.sdk.manual_restore import DONE, Block, ManualRestore, secret
from drillbook.values import Secret


def blocks(manual: ManualRestore, variables: Mapping[str, Secret | str], filters: Sequence[str]) -> list[Block]:
    """Return the commands that restore a snapshot into the folder `data`. ``filters``: options that select the job's snapshots."""
    chosen = shlex.join(filters)
    wanted = shlex.quote(manual.chosen) if manual.chosen else "latest"
    pick = f"wanted={wanted}"
    if manual.moment:
        pick = f"wanted=ID   # replace ID by the ID of the newest snapshot in the list that is not later than {manual.at}"
    only = "" if manual.chosen or manual.moment else f" {chosen}"
    return [
        manual.block(
            *manual.begin(),
            *(secret(name, value) for name, value in variables.items()),
            f"restic snapshots {chosen}",
            pick,
            f'restic restore "$wanted"{only} --target "${{folder:?}}/data" --verify && {DONE}',
            'ls -l "${folder:?}/data"',
        )
    ]


def move(manual: ManualRestore) -> list[Block]:
    """Return the commands that put the restored folder in the place of the service's folder."""
    return manual_move.swapped(manual, *manual_move.found_folder(manual), restored='"${folder:+$restored}"')
