"""The schema of a database as text, in a form that is equal whenever the schema is."""

from __future__ import annotations

import difflib
import re

from drillbook.errors import CouldNotVerify
from drillbook.sdk.answers import Answer
from drillbook.systems.postgres import masking
from drillbook.systems.postgres.manifest import OWN_SCHEMA
from drillbook.systems.postgres.tools import Tools

_PINNED = "|".join(
    (
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "transaction_timeout",
        "client_encoding",
        "standard_conforming_strings",
        "check_function_bodies",
        "xmloption",
        "client_min_messages",
        "row_security",
        "default_tablespace",
        "default_table_access_method",
    )
)
_NOISE = re.compile(
    r"--(?: (?:Name|Data for Name|Dumped|PostgreSQL database|TOC entry|Dependencies).*)?"
    rf"|SET (?:{_PINNED}) = .*;"
    r"|SELECT pg_catalog\.set_config\('search_path', '', false\);"
    r"|\\(?:restrict|unrestrict|connect)\b.*"
    r"|ALTER DATABASE .* CONNECTION LIMIT = -?\d+;"
    r"|ALTER DATABASE .* SET \"?drillbook\.(?:connection_limit|restored_by)\"? TO .*;"
    r"|CREATE TRIGGER drillbook_closed .*;|ALTER TABLE .* ENABLE ALWAYS TRIGGER drillbook_closed;"
)


def text(tools: Tools, *, snapshot: str = "") -> str:
    """The schema of the service's database, owners and grants and the database's own settings included, normalised.

    ``snapshot`` is the name of an exported one. Raises CouldNotVerify, HostError.
    """
    sink = Answer(f"{tools.host.name}: the schema")
    output = tools.client(
        "pg_dump",
        "--schema-only",
        "--create",
        f"--exclude-schema={OWN_SCHEMA}",
        *((f"--snapshot={snapshot}",) if snapshot else ()),
        sink=sink,
    )
    if not output.ok:
        said = output.stderr.decode("utf-8", "replace").strip()[-400:]
        raise CouldNotVerify(f"{tools.host.name}: pg_dump could not write the schema: {said}")
    return normalised(sink.getvalue().decode("utf-8", "backslashreplace"))


def normalised(dump: str) -> str:
    """``dump`` without comments, session settings, passwords, and what differs between two dumps of the same schema."""
    kept = [line for line in masking.masked(dump).splitlines() if line.strip() and not _NOISE.fullmatch(line)]
    return "\n".join(kept) + "\n"


def difference(wanted: str, found: str) -> str:
    """What has to change in ``wanted`` to become ``found``, as a unified diff that shows no password."""
    lines = difflib.unified_diff(wanted.splitlines(), found.splitlines(), "backup", "now", lineterm="")
    return masking.shown("\n".join(lines) + "\n")
