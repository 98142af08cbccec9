"""Tables and indexes that a plan of PostgreSQL reads, from the output of `EXPLAIN (FORMAT JSON)`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from drillbook.systems.postgres.connection import Connection


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


def reads_of(plan: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """Each node that reads a table as a whole, with how many times it does so in one run, as the planner estimates.

    More than once does one in a subquery that is asked anew for every row, and one on the inner side of a nested loop.
    """
    yield from _reads(plan, 1, 1 << 62, json.dumps(plan))


def _reads(node: dict[str, Any], times: int, limit: int, whole: str) -> Iterator[tuple[dict[str, Any], int]]:
    """``limit``: rows after which nobody asks any more; ``whole``: the plan as text; `hashed` there is asked once."""
    if node.get("Node Type") == "Seq Scan":
        yield node, times
    rows = int(node.get("Plan Rows", 1))
    limit = min(limit, rows) if node.get("Node Type") == "Limit" else limit
    inner = node.get("Plans", [])
    for child in inner:
        each = 1
        if child.get("Parent Relationship") == "SubPlan" and f"hashed {child.get('Subplan Name')}" not in whole:
            each = min(rows, limit)
        elif (
            node.get("Node Type") == "Nested Loop"
            and child.get("Parent Relationship") == "Inner"
            and child.get("Node Type") != "Materialize"
        ):
            each = int(inner[0].get("Plan Rows", 1))
        yield from _reads(child, times * max(1, each), limit, whole)
