"""Content of files on a host: the survey of all entries of a path, with their properties and digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drillbook.errors import CouldNotVerify
from drillbook.sdk import host_programs
from drillbook.sdk.action import Context
from drillbook.systems.files.archives import own_mark
from drillbook.systems.files.manifest import Entry


@dataclass(frozen=True, slots=True)
class Found:
    """Result of a survey of files. ``entries`` is None when the path does not exist.

    ``sockets`` lists sockets, which are never archived.
    """

    entries: dict[str, Entry] | None
    sockets: list[str]
    changed: Mapping[str, float] = field(default_factory=dict)
    """Change time (ctime) of each entry in seconds since 1970, by the host's clock. Set only if change times were
    requested.
    """


def survey(ctx: Context, path: str, prefix: tuple[str, ...] = (), *, changes: bool = False) -> Found:
    """List all entries of ``path`` on the step's host with their properties. When ``changes`` is true, also list change
    times.

    Raises CouldNotVerify when an entry cannot be read.
    """
    arguments = (path, own_mark(ctx), *(("changes",) if changes else ()))
    answer = host_programs.call(ctx, "drillbook.systems.files.survey_program", *arguments, prefix=prefix)
    if answer["problems"]:
        raise CouldNotVerify(
            f"{ctx.host.name}: {len(answer['problems'])} entries of {path} cannot be read: "
            + "; ".join(answer["problems"][:3]),
            hint="run as a user with read permission for the whole folder",
        )
    entries = {name: Entry.model_validate(fields) for name, fields in answer["entries"].items()}
    return Found(None if answer["missing"] else entries, answer["sockets"], answer.get("changed", {}))
