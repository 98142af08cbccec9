"""The lab's stand-in for a Qdrant server: it keeps acknowledged points, and refuses unsupported requests."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("qdrant_edge", reason="the extra `lab` is not installed")

from drillbook.sdk.web import ask
from tests.systems.qdrant.server import API_KEY, StandIn

MADE = {"vectors": {"size": 2, "distance": "Dot"}}


@pytest.fixture
def stand_in(tmp_path):
    made = StandIn(tmp_path / "vectors")
    made.start()
    yield made
    made.close()


def call(stand_in, method, path, body=None, key=API_KEY):
    answer = ask(
        stand_in.url + path,
        timeout=30,
        method=method,
        headers={"api-key": key},
        body=b"" if body is None else json.dumps(body).encode(),
    )
    return answer.status, json.loads(answer.body)


def fill(stand_in, name="mine", first=0, count=50):
    points = [{"id": number, "vector": [number, 1], "payload": {"n": number}} for number in range(first, first + count)]
    assert call(stand_in, "PUT", f"/collections/{name}/points?wait=true", {"points": points})[0] == 200


def count(stand_in, name="mine"):
    return call(stand_in, "POST", f"/collections/{name}/points/count", {"exact": True})[1]["result"]["count"]


def test_what_was_acknowledged_is_there_after_a_kill_and_after_a_stop(stand_in):
    assert call(stand_in, "PUT", "/collections/mine", MADE)[0] == 200
    fill(stand_in)
    stand_in.end(signal.SIGKILL)
    half = stand_in.folder / "collections" / "half-made" / "shard"
    half.mkdir(parents=True)
    stand_in.start()
    assert count(stand_in) == 50
    assert not half.exists()
    assert call(stand_in, "POST", "/collections/mine/points/delete", {"points": [0, 1, 77]})[0] == 200
    assert stand_in.end(signal.SIGTERM) == 0
    stand_in.start()
    assert count(stand_in) == 48
    found = call(stand_in, "POST", "/collections/mine/points/query", {"query": [1, 0], "limit": 1, "with_payload": True})[1]
    assert found["result"]["points"][0]["payload"] == {"n": 49}


def test_without_the_key_nothing_is_told_but_that_it_lives(stand_in):
    for key in ("", "wrong"):
        assert call(stand_in, "GET", "/collections", key=key)[0] == 401
        assert call(stand_in, "DELETE", "/collections/mine", key=key)[0] == 401
        assert call(stand_in, "GET", "/readyz", key=key)[0] == 200
    assert call(stand_in, "GET", "/")[1]["title"].startswith("the Drillbook lab's stand-in")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/collections/mine", MADE, 409),
        ("PUT", "/collections/other", {**MADE, "quantization_config": {"scalar": {"type": "int8"}}}, 400),
        ("PUT", "/collections/other", {"vectors": {"size": 2, "distance": "Far"}}, 400),
        ("PUT", "/collections/other", {"vectors": {"size": 2, "distance": "Dot", "on_disk": True}}, 400),
        ("PUT", "/collections/..%2f..%2fother", MADE, 404),
        ("PUT", "/collections/mine/points", {"points": [{"id": 1, "vector": [1, 2, 3]}]}, 400),
        ("PUT", "/collections/mine/points", {"points": [{"id": "no-uuid", "vector": [1, 2]}]}, 400),
        ("PUT", "/collections/mine/points", {"batch": {}}, 400),
        ("PUT", "/collections/mine/points", ["no object"], 400),
        ("POST", "/collections/mine/points/scroll", {"filter": {"must": []}}, 400),
        ("POST", "/collections/mine/points/delete", {"filter": {}}, 400),
        ("POST", "/collections/none/snapshots", None, 404),
        ("GET", "/collections/mine/snapshots/none", None, 404),
        ("GET", "/collections/mine/snapshots/..%2f..%2fcollections%2fmine%2fparams.json", None, 404),
        ("PUT", "/collections/mine/snapshots/recover", {"location": "file:///etc/passwd"}, 400),
        ("GET", "/collections/none", None, 404),
        ("GET", "/collections/mine/points/3", None, 404),
    ],
)
def test_what_it_does_not_have_is_refused_with_a_reason(shared, method, path, body, status):
    found, answer = call(shared, method, path, body)
    assert found == status, answer
    assert answer["status"]["error"]
    assert call(shared, "GET", "/collections")[1]["result"] == {"collections": [{"name": "mine"}]}
    assert count(shared) == 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = StandIn(tmp_path_factory.mktemp("stand-in") / "vectors")
    try:
        made.start()
        assert call(made, "PUT", "/collections/mine", MADE)[0] == 200
        yield made
    finally:
        made.close()


def test_many_at_once_lose_nothing(stand_in):
    assert call(stand_in, "PUT", "/collections/mine", MADE)[0] == 200
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: fill(stand_in, first=number * 10, count=10), range(24)))
    assert count(stand_in) == 240
    seen, offset = [], None
    while True:
        page = call(stand_in, "POST", "/collections/mine/points/scroll", {"limit": 7, "offset": offset})[1]["result"]
        seen += [point["id"] for point in page["points"]]
        offset = page["next_page_offset"]
        if offset is None:
            break
    assert seen == list(range(240))
