"""Access to a collection, and refusals before a drill."""

import pytest

pytest.importorskip("qdrant_client", reason="the extra `qdrant` is not installed")

from qdrant_client import models

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import find
from drillbook.systems.qdrant.client import connected, pieces, reason
from drillbook.values import Secret
from tests.needs import missing
from tests.ports import free_ports
from tests.systems.postgres.site import secret
from tests.systems.qdrant import server
from tests.systems.qdrant.world import QUERY, ROWS
from tests.systems.refusals import refused_until


def test_a_wrong_key_a_wrong_port_and_a_deaf_server_are_told(world):
    count = world.place.action("qdrant.count", service="vectors")
    for changes, said in (({"url": f"http://127.0.0.1:{free_ports(1)[0]}"}, "refused"), ({"collection": "other"}, "other")):
        with pytest.raises(CouldNotVerify, match=said):
            count.run(world.ctx(**changes))
        with pytest.raises(NotReady):
            count.ready(world.ctx(**changes))
    restore = find("qdrant.restore").with_unknown({"service": "vectors"}, {"from"})
    for action in (count, restore):
        urls = [{"url": f"http://127.0.0.1:{free_ports(1)[0]}"}, {}]
        refused_until(
            lambda: action.ready(world.ctx(**urls[0])),  # noqa: B023  runs at once
            r"\[Errno 111\] Connection refused",
            lambda: urls.pop(0),  # noqa: B023
        )
    if not server.given():
        with pytest.raises(CouldNotVerify, match="401") as failure:
            count.run(world.ctx(api_key=secret("wrong-key-here", "TEST_QDRANT_WRONG")))
        assert "wrong-key-here" not in str(failure.value)
    assert isinstance(world.service.api_key, Secret | None)


@pytest.mark.parametrize(
    "name", ["qdrant.snapshot", "qdrant.restore", "qdrant.delete_points", "qdrant.add_strays", "qdrant.reconcile"]
)
def test_a_key_that_may_only_read_is_refused_before_the_fault(world, name):
    if server.given():
        missing("the read-only key of this server is unknown")
    needed = {"qdrant.reconcile": {"database": "rows", "query": QUERY}}.get(name, {})
    action = find(name).with_unknown({"service": "vectors", **needed}, {"to", "from", "count"})
    keys = [secret(server.READ_KEY, "TEST_QDRANT_READER"), world.service.api_key]
    before = world.service.collection
    refused_until(
        lambda: action.ready(world.ctx(api_key=keys[0])),
        r"the API key of vectors may read but not write: .*status 403",
        lambda: keys.pop(0),
    )
    assert world.service.collection == before


def test_items_are_split_into_lists_of_a_limited_size():
    assert list(pieces(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(pieces([])) == []


def test_a_session_reads_writes_and_deletes_the_points_of_its_collection(world):
    with connected(world.ctx(), world.service) as session:
        assert session.exists()
        assert (session.count(), session.ids()) == (ROWS, set(range(1, ROWS + 1)))
        assert session.status() in {"green", "yellow", "grey"}
        assert session.present([1, 2, 5000]) == {1, 2}
        first = session.fetch([1, 5000])
        assert list(first) == [1]
        assert session.digests()[1] == first[1].digest()
        session.delete([1, 5000])
        assert session.present([1]) == set()
        session.put(first.values())
        assert session.fetch([1])[1].digest() == first[1].digest()


def test_a_copy_of_a_collection_has_its_settings_and_indexes(world):
    with world.client() as (own, name):
        own.create_payload_index(name, "text", models.PayloadSchemaType.KEYWORD, wait=True)
    copy = world.service.model_copy(update={"collection": f"{world.service.collection}-copy"})
    with connected(world.ctx(), world.service) as session:
        config = session.config()
    assert (config["vectors"], config["fields"]) == ({"size": server.SIZE, "distance": "Cosine"}, {"text": "keyword"})
    with connected(world.ctx(), copy) as session:
        session.create(config)
        try:
            assert session.config() == config
        finally:
            session.client.delete_collection(copy.collection)


def test_the_words_of_a_server_are_one_printable_line():
    class Refusal(Exception):
        status_code = 400
        content = b'{"status": {"error": "no\\u001b[2J vector\\nin this collection"}}'

    assert reason(Refusal()).startswith("status 400: no")
    assert "\x1b" not in reason(Refusal())
    assert "in this collection" not in reason(Refusal())
    Refusal.content = b"<html>"
    assert reason(Refusal()) == "status 400: <html>"
    assert reason(OSError()) == "OSError"
