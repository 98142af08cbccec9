"""Plans of PostgreSQL: which tables and indexes they read, and how often a scan runs."""

from drillbook.systems.postgres import explain_output


def scan(table="orders", rows=100, **more):
    return {"Node Type": "Seq Scan", "Relation Name": table, "Plan Rows": rows, **more}


def reads(plan):
    return [(node["Relation Name"], times) for node, times in explain_output.reads_of(plan)]


def test_tables_that_are_scanned_and_indexes_are_listed_once():
    plan = {
        "Node Type": "Append",
        "Plans": [
            scan("orders"),
            scan("orders"),
            {"Node Type": "Index Scan", "Relation Name": "items", "Index Name": "items_pkey"},
            {"Node Type": "Sort", "Plans": [scan("customers")]},
        ],
    }
    assert explain_output.scanned_by(plan) == ["customers", "orders"]
    assert explain_output.indexes_of(plan) == ["items_pkey"]
    assert reads(plan) == [("orders", 1), ("orders", 1), ("customers", 1)]


def test_the_inner_side_of_a_nested_loop_runs_for_each_outer_row_unless_it_is_kept():
    outer, inner = scan("outer", 40), scan("inner", 5, **{"Parent Relationship": "Inner"})
    assert reads({"Node Type": "Nested Loop", "Plan Rows": 200, "Plans": [outer, inner]}) == [("outer", 1), ("inner", 40)]
    kept = {"Node Type": "Materialize", "Parent Relationship": "Inner", "Plans": [scan("inner", 5)]}
    assert reads({"Node Type": "Nested Loop", "Plan Rows": 200, "Plans": [outer, kept]}) == [("outer", 1), ("inner", 1)]


def test_a_subquery_runs_for_each_row_unless_it_is_hashed():
    below = scan("items", 7, **{"Parent Relationship": "SubPlan", "Subplan Name": "SubPlan 1"})
    assert reads(scan("orders", 30, Plans=[below])) == [("orders", 1), ("items", 30)]
    hashed = scan("orders", 30, Plans=[below], Filter="(NOT (hashed SubPlan 1))")
    assert reads(hashed) == [("orders", 1), ("items", 1)]
    limited = {"Node Type": "Limit", "Plan Rows": 4, "Plans": [scan("orders", 30, Plans=[below])]}
    assert reads(limited) == [("orders", 1), ("items", 4)]
