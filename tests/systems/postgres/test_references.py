"""Rows of a restored copy that refer to objects of a store: references that a restore would break are reported."""

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from tests.systems.estate import codes
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, Site

place = fixtures.place
QUERY = "SELECT key, size FROM documents"
WHERE = f"s3://{BUCKET}/documents/"


@pytest.fixture
def documents(place: Site):
    """Three documents, each a row and an object."""
    if "copy" not in place.clusters:
        cluster = place.place("copy")
        cluster.create()
        cluster.start()
        cluster.sql("CREATE DATABASE shop", database="postgres")
    cluster = place.clusters["copy"]
    cluster.sql(
        "DROP TABLE IF EXISTS documents",
        "CREATE TABLE documents (key text, size bigint)",
        "INSERT INTO documents VALUES ('a.pdf', 3), ('deep/b.pdf', 3), ('ö c.pdf', NULL), (NULL, 7)",
    )
    for key in ("a.pdf", "deep/b.pdf", "ö c.pdf"):
        place.s3().put_object(Bucket=BUCKET, Key=f"documents/{key}", Body=b"123")
    return cluster


def references(place: Site, query: str = QUERY, objects: str = WHERE):
    action = place.action("postgres.references", service="copy", query=query, objects=objects)
    action.ready(place.context())
    return action.run(place.context())


def test_every_row_has_its_object(place, documents):
    place.s3().put_object(Bucket=BUCKET, Key="documents/later.pdf", Body=b"written since the backup")
    try:
        facts = references(place)
        assert facts == {"references": 3, "objects": 4, "missing": 0, "wrong_size": 0, "unreferenced": 1}
        whole = references(place, "SELECT 'documents/' || key FROM documents", f"s3://{BUCKET}/")
        assert (whole["references"], whole["missing"]) == (3, 0)
    finally:
        place.s3().delete_object(Bucket=BUCKET, Key="documents/later.pdf")


def test_a_missing_object_and_one_of_another_size_are_told(place, documents):
    place.s3().delete_object(Bucket=BUCKET, Key="documents/deep/b.pdf")
    place.s3().put_object(Bucket=BUCKET, Key="documents/a.pdf", Body=b"1234")
    with pytest.raises(StepFailed) as failure:
        references(place)
    assert codes(failure) == ["reference-dangling"]
    facts = failure.value.facts
    assert (facts["missing"], facts["wrong_size"]) == (1, 1)
    told = failure.value.findings[0].evidence
    assert told[:2] == ("missing deep/b.pdf", "4 bytes, not 3: a.pdf")
    assert (place.folder / "run" / told[2]).read_text() == "missing deep/b.pdf\n4 bytes, not 3: a.pdf\n"


def test_nothing_named_is_nothing_verified(place, documents):
    with pytest.raises(CouldNotVerify, match="returns no key of an object"):
        references(place, f"{QUERY} WHERE false")
    with pytest.raises(CouldNotVerify, match="no_such_table"):
        references(place, "SELECT key FROM no_such_table")


def test_the_query_writes_nothing(place, documents):
    with pytest.raises(CouldNotVerify, match="read-only transaction"):
        references(place, "DELETE FROM documents RETURNING key")
    assert documents.sql("SELECT count(*) FROM documents") == [(4,)]
