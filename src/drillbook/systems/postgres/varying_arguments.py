"""Parts of arguments that have another value in every run, such as the name of a snapshot for pg_dump."""

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
"""Patterns of the parts of arguments that vary. The only entry is for the name of an exported snapshot, which follows
``--snapshot=`` in the arguments of pg_dump.
"""
