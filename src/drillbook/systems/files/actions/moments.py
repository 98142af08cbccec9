"""Action `files.newest_moment`: find when a file in a folder was last written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.host import as_user, printable
from drillbook.sdk.moments import SAMPLE, MeasuresLoss, measured, newest
from drillbook.sdk.sudo_question import need_account
from drillbook.systems.files.service import Folder
from drillbook.values import Duration

# FOLDER COUNT: print the COUNT newest modification times below FOLDER, in seconds since 1970, newest first.
_NEWEST = """
test -d "$1" || { echo "no such folder" >&2; exit 1; }
find "$1" -type f -printf '%T@\\n' | LC_ALL=C sort -rn | head -n "$2"
"""
BASIS = "the newest time of a file's last write (mtime)"


def _newest(service: Folder) -> tuple[str, ...]:
    """Return the command that prints the newest modification times of the files in the folder."""
    return ("sh", "-c", _NEWEST, "sh", service.data, str(SAMPLE))


class NewestMoment(MeasuresLoss):
    """Find the time of the newest write in a folder, usually a restored copy.

    In a disaster, all writes after this time would be lost. The time is the newest modification time of a file. Restores
    keep modification times. Deletions, renamings and moves are not found, because they do not change the modification time
    of a file.
    """

    SERVICE = Folder
    TIMEOUT = 300.0

    service: Annotated[str, Field(description="Service of kind `folder`, usually a sandbox.")]
    max_age: Annotated[
        Duration | None,
        Field(gt=0, description=("Maximum age of the newest write. If the newest write is older, the step fails.")),
    ] = None

    def ready(self, ctx: Context) -> None:
        """Check that commands can run as the user of the service, and that the host has GNU find.

        The folder need not exist yet, because a restore may create it.
        """
        service = ctx.service(self.service, Folder)
        need_account(ctx, service.run_as, _newest(service))
        if not ctx.run("sh", "-c", "find / -maxdepth 0 -printf ''").ok:
            raise NotReady(f"{ctx.host.name} has no GNU find", hint="install GNU find (Debian's findutils) on that host")

    def run(self, ctx: Context) -> Facts:
        """Facts: ``newest_moment``, ``age_s``, ``error_s``, ``basis``, ``moments``.

        ``newest_moment`` is the time of the newest write, by the clock of the host that wrote the file. ``age_s`` is the
        time from ``newest_moment`` until now, by the controller's clock. ``error_s`` is the error of ``newest_moment`` in
        seconds: a write that was lost may have happened by about this time later. It is the usual interval between the
        newest writes. ``basis`` says in words how the time was found. ``moments`` lists every time that was found, with its
        basis and its error.
        """
        service = ctx.service(self.service, Folder)
        output = ctx.run(*as_user(service.run_as, _newest(service)))
        if not output.ok:
            said = printable(output.stderr, limit=300).strip()
            raise CouldNotVerify(
                f"{ctx.host.name}: {service.data} cannot be read: {said}", hint="install GNU find on that host"
            )
        values = [datetime.fromtimestamp(float(line), UTC) for line in output.text.split()]
        return measured(self.service, newest(values, BASIS), self.max_age, hint="use `files.compare` to compare the folder")
