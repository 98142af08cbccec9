"""Differences between expected and existing points, as findings."""

from drillbook.systems.qdrant import compare


def told(findings):
    return [(finding.code, finding.title.rpartition(": ")[2]) for finding in findings]


def test_equal_points_have_no_difference():
    assert compare.content({1: b"a"}, {1: b"a"}, "chunks") == []
    assert compare.sets((), (), "chunks") == []


def test_each_missing_other_and_unexpected_point_is_named():
    differences = compare.content({1: b"a", 2: b"b", 3: b"c"}, {2: b"b", 3: b"x", 4: b"d"}, "chunks")
    assert told(differences) == [
        ("vector-missing", "chunks, point 1"),
        ("vector-content", "chunks, point 3"),
        ("vector-unexpected", "chunks, point 4"),
    ]


def test_rows_without_a_vector_and_vectors_without_a_row_are_named():
    missing, stray = compare.sets([2, 2], [7], "chunks")
    assert told([missing, stray]) == [("vector-missing", "chunks, point 2"), ("vector-unexpected", "chunks, point 7")]
    assert (missing.measured, stray.measured) == ("no such point", "no such row")


def test_the_rest_of_many_points_is_one_finding_with_their_number():
    ids = range(compare.SHOWN + 5)
    findings = compare.sets(ids, (), "chunks")
    assert len(findings) == compare.SHOWN + 1
    assert told(findings)[0] == ("vector-missing", "chunks, point 0")
    assert told(findings)[-1] == ("vector-missing", "chunks, 5 more points")
    assert findings[-1].measured == f"{len(ids)} points in all"
    assert len(compare.sets(range(compare.SHOWN), (), "chunks")) == compare.SHOWN


def test_settings_of_vectors_are_compared_and_those_of_indexes_are_not():
    wanted = {"vectors": {"size": 3}, "hnsw_config": {"m": 16}}
    assert compare.config(wanted, {"vectors": {"size": 3}, "hnsw_config": {"m": 4}}, "chunks") == []
    (wrong,) = compare.config(wanted, {"vectors": {"size": 4}}, "chunks")
    assert told([wrong]) == [("vector-config", "chunks, vectors")]
    assert (wrong.wanted, wrong.measured) == ("{'size': 3}", "{'size': 4}")
    assert told(compare.config({}, {"sparse_vectors": {"words": {}}}, "chunks")) == [
        ("vector-config", "chunks, sparse_vectors")
    ]
