"""Tables of the sample application, and their size."""

from drillbook.lab import schema
from drillbook.lab.layout import Lab
from tests.lab.looking import admin


def test_the_database_is_of_the_promised_size_and_owned_by_the_application(lab: Lab) -> None:
    with admin(lab) as connection:
        row = connection.execute(
            "SELECT pg_database_size('dpa'), (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks), "
            "(SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'), "
            "current_setting('data_checksums'), current_setting('fsync')"
        ).fetchone()
    assert row[0] >= 60_000_000
    assert row[1] >= schema.DOCUMENTS >= 20_000
    assert row[2] >= 100_000
    assert row[3:] == ("dpa", "on", "on")


def test_completed_documents_have_chunks(lab: Lab) -> None:
    with admin(lab) as connection:
        orphans = connection.execute(
            "SELECT count(*) FROM documents d LEFT JOIN chunks c ON d.id = c.document_id "
            "WHERE c.id IS NULL AND d.status = 'completed'"
        ).fetchone()
    assert orphans == (0,)
