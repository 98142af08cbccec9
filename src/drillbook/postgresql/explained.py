"""Tables and indexes that a plan of PostgreSQL reads, from the output of `EXPLAIN (FORMAT JSON)`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drillbook.postgresql.connection import Connection


def explain(session: Connection, query: str) -> dict[str, Any]:
    """The plan of a statement, which is not carried out. Raises psycopg.Error."""
    session.execute("BEGIN READ ONLY")
    # Prepared, so that it is one statement: a second one could end the read-only transaction.
    row = session.execute(f"EXPLAIN (FORMAT JSON) {query}".encode(), prepare=True).fetchone()
    session.execute("ROLLBACK")
    return dict(row[0][0]["Plan"]) if row else {}


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The node at the top of a plan, and all below it."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)


def indexes_of(plan: dict[str, Any]) -> list[str]:
    """The indexes that it uses."""
    return sorted({node["Index Name"] for node in nodes_of(plan) if "Index Name" in node})


def scanned_by(plan: dict[str, Any]) -> list[str]:
    """The tables that it reads as a whole."""
    return sorted({node["Relation Name"] for node in nodes_of(plan) if node.get("Node Type") == "Seq Scan"})
