"""Reads the schema of a database as text. The text is normalised, so that equal schemas have equal texts.

Most kinds of objects are compared by catalog queries (see ``structure``). All other kinds are compared by this text.
Backups made by old versions of Drillbook contain only the text, so all their objects are compared by it.
"""

from __future__ import annotations

import difflib
import re

from drillbook.errors import CouldNotVerify
from drillbook.sdk import masked_text
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import printable
from drillbook.systems.postgres import masking
from drillbook.systems.postgres.manifest import OWN_SCHEMA
from drillbook.systems.postgres.programs import Tools

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
_TOKEN = re.compile(
    r"^-- (?:Data for )?Name: (?P<name>.*); Type: (?P<kind>[A-Z ]+); Schema: [^\n]*|--[^\n]*|'(?:[^']|'')*'"
    r"|\"(?:[^\"]|\"\")*\"|(?<![\w$])(?P<tag>\$(?:[^\W\d]\w*)?\$)[\s\S]*?(?P=tag)",
    re.MULTILINE,
)
"""Pattern of a comment, a literal or a quoted name.

The groups ``name`` and ``kind`` match only in the comment at the beginning of an entry of the dump.
"""
COVERED = {
    "AGGREGATE",
    "CHECK CONSTRAINT",
    "COLUMN",
    "CONSTRAINT",
    "DATABASE",
    "DATABASE PROPERTIES",
    "DEFAULT",
    "DEFAULT ACL",
    "DOMAIN",
    "EVENT TRIGGER",
    "EXTENSION",
    "FK CONSTRAINT",
    "FUNCTION",
    "INDEX",
    "INDEX ATTACH",
    "MATERIALIZED VIEW",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "PUBLICATION TABLE",
    "PUBLICATION TABLES IN SCHEMA",
    "ROW SECURITY",
    "RULE",
    "SCHEMA",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "STATISTICS",
    "TABLE",
    "TABLE ATTACH",
    "TRIGGER",
    "TYPE",
    "VIEW",
}
"""Kinds of entries in a dump that need not be compared as text, because ``structure`` has catalog queries for them."""
_NOISE = re.compile(
    r"--(?: (?:Name|Data for Name|Dumped|PostgreSQL database|TOC entry|Dependencies).*)?"
    rf"|SET (?:{_PINNED}) = .*;"
    r"|SELECT pg_catalog\.set_config\('search_path', '', false\);"
    r"|\\(?:restrict|unrestrict|connect)\b.*"
    r"|ALTER DATABASE .* CONNECTION LIMIT = -?\d+;"
    r"|ALTER DATABASE .* SET \"?drillbook\.(?:connection_limit|restored_by)\"? TO .*;"
    r"|CREATE TRIGGER drillbook_closed .*;|ALTER TABLE .* ENABLE ALWAYS TRIGGER drillbook_closed;"
)


def dumped(tools: Tools, *, snapshot: str = "") -> str:
    """Return the schema of the service's database as pg_dump writes it, with owners, grants and the database's own settings,
    but without Drillbook's own schema.

    ``snapshot``: name of the exported snapshot to read. Raises CouldNotVerify when pg_dump fails, and HostError when the
    host cannot be used.
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
        said = printable(output.stderr.strip(), limit=400)
        raise CouldNotVerify(f"{tools.host.name}: pg_dump could not write the schema: {said}")
    return sink.getvalue().decode("utf-8", "backslashreplace")


def normalised(dump: str) -> str:
    """Return the dump without passwords, comments, session settings, and other lines in which two dumps of one schema can
    differ.
    """
    kept = [line for line in masking.masked(dump).splitlines() if line.strip() and not _NOISE.fullmatch(line)]
    return "\n".join(kept) + "\n"


def rest(dump: str) -> str:
    """Return the normalised entries of ``dump`` for the kinds of objects that the catalog queries do not cover.

    Each entry begins with a comment of pg_dump, which contains the kind. Comments inside the body of a function are
    ignored.
    """
    heads = [match for match in _TOKEN.finditer(dump) if match["kind"]]
    ends = [*(head.start() for head in heads[1:]), len(dump)]
    kept = (dump[match.end() : end] for match, end in zip(heads, ends, strict=True) if not _covered(match))
    return normalised("".join(kept))


def _covered(head: re.Match[str]) -> bool:
    kind = head["kind"]
    if kind in ("ACL", "COMMENT"):  # the name begins with the kind of the object
        return any(head["name"].startswith(known + " ") for known in COVERED)
    return kind in COVERED


def difference(wanted: str, present: str) -> str:
    """Return the difference between ``wanted`` and ``present`` as a unified diff without passwords."""
    lines = difflib.unified_diff(wanted.splitlines(), present.splitlines(), "backup", "now", lineterm="")
    return masked_text.shown("\n".join(lines) + "\n")
