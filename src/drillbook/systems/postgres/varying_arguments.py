"""Parts of the arguments of PostgreSQL's programs that differ in every run."""

from __future__ import annotations

import re

from drillbook.sdk.varying_arguments import VaryingArgument

_CAPITALS = "[0-9A-F]"
VARYING_ARGUMENTS = {
    # The server chooses the name; see pg_export_snapshot in the manual of PostgreSQL.
    "exported snapshot": VaryingArgument(
        re.compile(r"(?<=--snapshot=)[0-9A-F]{8}-[0-9A-F]{8}-[0-9](?= |$)"), f"{8 * _CAPITALS}-{8 * _CAPITALS}-[0-9]"
    )
}
"""The name of an exported snapshot, after ``--snapshot=`` of pg_dump."""
