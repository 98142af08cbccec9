"""Content of the lab: the same every time."""

import json

import psycopg

from drillbook.lab import seed
from drillbook.lab.layout import ADDRESS, COLLECTION, Lab
from drillbook.sdk.web import ask
from tests.lab.looking import admin, digests


def test_the_seed_is_the_same_every_time(lab: Lab) -> None:
    with admin(lab, "postgres") as connection:
        seed.create_database(connection, "again", "secret")
    with (
        psycopg.connect(
            host=ADDRESS, port=lab.port("postgres.db-1"), user="again", dbname="again", password="secret", autocommit=True
        ) as again,
        admin(lab) as first,
    ):
        seed.fill_documents(again)
        assert digests(again) == digests(first)
    with admin(lab, "postgres") as connection:
        connection.execute("DROP DATABASE again WITH (FORCE)")
        connection.execute("DROP ROLE again")


def test_the_chunks_of_the_first_documents_have_vectors(lab: Lab) -> None:
    asked = {"limit": 10_000, "with_payload": True, "with_vector": True}
    answer = ask(
        f"{lab.vectors}/collections/{COLLECTION}/points/scroll",
        timeout=30,
        method="POST",
        headers={"api-key": lab.secret("vectors")},
        body=json.dumps(asked).encode(),
        limit=8 << 20,
    )
    points = json.loads(answer.body)["result"]["points"]
    with admin(lab) as connection:
        rows = connection.execute(
            "SELECT id, document_id FROM chunks WHERE document_id <= %s ORDER BY id", [seed.EMBEDDED]
        ).fetchall()
    assert [(point["id"], point["payload"]["document_id"]) for point in points] == rows
    assert len(points) == 1980
    assert {len(point["vector"]) for point in points} == {seed.DIMENSIONS}
