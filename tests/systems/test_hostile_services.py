"""Services with endless answers: the controller stops reading, names the service and the limit, and its memory does
not grow.
"""

import gzip
import itertools
import json
import re

import pytest

from tests.hostile import MIB, asked, chunked, flood

MOST_MIB = 450
REDIS = """
from drillbook.systems.redis.connection import connected
service = discovery.service_class("redis")(name="cache", host="db-1", port=port, unit="")
ctx = context(service, seconds=60)
"""
ASK_REDIS = """with connected(ctx, service) as session:
    session.ask("GET", "key")"""


def redis(answer):
    """Server that knows every command except GET, which ``answer`` answers."""

    def talk(line):
        file = line.makefile("rb")
        while head := file.readline():
            words = [(file.readline(), file.readline())[1].strip() for _ in range(int(head[1:]))]
            if words[0].upper() == b"GET":
                answer(line)
            else:
                line.sendall(b"+OK\r\n")

    return talk


def after(begin, unit):
    def answer(line):
        line.sendall(begin)
        flood(line, unit)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        after(b"$2000000000\r\n", b"x"),
        after(b"*1000000000\r\n", b"*0\r\n"),
        after(b"*1000000000\r\n", b"-E\r\n"),
        after(b"*1000000000\r\n", b"$100\r\n" + b"x" * 100 + b"\r\n"),
    ],
    ids=["bulk", "lists", "errors", "values"],
)
def test_an_endless_answer_of_redis_is_cut_off(answer):
    said, grown, _ = asked(redis(answer), REDIS, ASK_REDIS)
    assert re.match(
        r"CouldNotVerify: an answer of the server at 127\.0\.0\.1:\d+ (is larger than|contains more than) ", said
    ), said
    assert grown < MOST_MIB


def test_a_line_of_redis_without_an_end_ends_with_the_step():
    said, grown, _ = asked(redis(after(b"+", b"x")), REDIS.replace("60", "8"), ASK_REDIS)
    assert said.startswith(("TimeoutError: cache at ", "CouldNotVerify: ")), said
    assert grown < MOST_MIB


@pytest.mark.parametrize("answer", [b"*1\r\n" * 5000 + b":1\r\n", b":twelve\r\n", b"$many\r\n"])
def test_an_answer_that_is_none_of_redis_is_not_verified(answer):
    said, _, _ = asked(redis(lambda line: line.sendall(answer)), REDIS, ASK_REDIS)
    assert said.startswith("CouldNotVerify: cache at "), said
    assert "does not follow the Redis protocol" in said


def test_a_list_of_keys_without_end_is_cut_off():
    page = b"*2\r\n$1\r\n7\r\n*500\r\n" + b"".join(b"$1000\r\n%01000d\r\n" % number for number in range(500))
    said, grown, _ = asked(
        lambda line: [
            line.sendall(page if b"SCAN" in data else b"+OK\r\n" * max(1, data.count(b"*")))
            for data in iter(lambda: line.recv(65536), b"")
        ],
        REDIS + "from drillbook.systems.redis import content\ncontent.MOST_KEYS = 20_000",
        "with connected(ctx, service) as session:\n    list(content.names(session))",
    )
    assert said.startswith("CouldNotVerify: the list of keys contains more than 20000 values"), said
    assert grown < MOST_MIB


def http(answer, head=b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"):
    """HTTP server that sends a valid beginning of every answer, and lets ``answer`` send the body for the request's
    line.
    """

    def talk(line):
        file = line.makefile("rb")
        while first := file.readline():
            length = 0
            while header := file.readline().strip():
                length = int(header.split(b":")[1]) if header.lower().startswith(b"content-length") else length
            file.read(length)
            line.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
            answer(line, first.decode())

    return talk


def endless(unit, begin=b""):
    """Body of repeated ``unit``."""
    unit *= MIB // len(unit)

    def answer(line, first):
        for piece in chunked(itertools.chain([begin] if begin else [], itertools.repeat(unit, 20_000))):
            line.sendall(piece)

    return answer


QDRANT = """
from drillbook.systems.qdrant.client import connected
service = discovery.service_class("qdrant")(name="vectors", host="db-1", unit="", url=f"http://127.0.0.1:{port}", collection="chunks")
ctx = context(service, seconds=40)
with connected(ctx, service):
    pass
"""
ASK_QDRANT = """with connected(ctx, service) as session:
    for points in session.points():
        pass"""


@pytest.mark.parametrize(
    "answer", [endless(b"x"), endless(b"[],", b'{"result":{"points":['), endless(b" ")], ids=["text", "lists", "blanks"]
)
def test_an_endless_answer_of_qdrant_is_cut_off(answer):
    said, grown, _ = asked(http(answer), QDRANT, ASK_QDRANT)
    assert re.match(r"CouldNotVerify: an answer of vectors at http://\S+ (is larger than|contains more than) ", said), said
    assert grown < MOST_MIB


def test_a_compressed_answer_of_qdrant_is_not_unpacked():
    bomb = gzip.compress(b" " * (1200 * MIB), 1)
    said, grown, _ = asked(
        http(
            lambda line, _: [line.sendall(piece) for piece in chunked([bomb, b""])],
            b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        ),
        QDRANT,
        ASK_QDRANT,
    )
    assert "is compressed, although no compression was requested" in said, said
    assert grown < MOST_MIB


def test_points_too_large_for_one_answer_are_asked_for_in_smaller_parts():
    seen = []

    def talk(line):
        file = line.makefile("rb")
        while file.readline():
            length = 0
            while header := file.readline().strip():
                length = int(header.split(b":")[1]) if header.lower().startswith(b"content-length") else length
            wanted = json.loads(file.read(length))
            begin = wanted.get("offset") or 0
            numbers = range(begin, min(300, begin + wanted["limit"]))
            seen.append(len(numbers))
            points = [{"id": number, "payload": {"text": "x" * 400_000}, "vector": [0.5]} for number in numbers]
            after = numbers.stop if numbers.stop < 300 else None
            body = json.dumps({"result": {"points": points, "next_page_offset": after}, "status": "ok", "time": 0}).encode()
            line.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )

    said, _, _ = asked(
        talk, QDRANT, "with connected(ctx, service) as session:\n    assert sum(map(len, session.points())) == 300"
    )
    assert said == "an answer"
    assert seen[0] == 300
    assert set(seen[1:-1]) == {62}


DOCKER = """
from drillbook.systems.docker.client import container_of
service = discovery.service_class("container")(name="api", host="db-1", unit="", container="api", engine=f"unix://{sys.argv[2]}/engine")
ctx = context(service)
import docker, requests
"""
ASK_DOCKER = """with container_of(ctx, "api") as one:
    one.stats(stream=False)"""


def engine(answer):
    def body(line, first):
        if "/version" in first:
            for piece in chunked([b'{"ApiVersion": "1.43"}', b""]):
                line.sendall(piece)
        elif first.startswith("GET") and "/stats" not in first:
            for piece in chunked([b'{"Id": "1", "Name": "/api", "Config": {}}', b""]):
                line.sendall(piece)
        else:
            answer(line, first)

    return http(body)


@pytest.mark.parametrize("answer", [endless(b"x"), endless(b"[],", b"[")], ids=["text", "lists"])
def test_an_endless_answer_of_an_engine_is_cut_off(answer, tmp_path):
    said, grown, _ = asked(engine(answer), DOCKER, ASK_DOCKER, str(tmp_path), path=str(tmp_path / "engine"))
    assert re.match(r"CouldNotVerify: an answer of unix://\S+ (is larger than|contains more than) ", said), said
    assert grown < MOST_MIB


STORE = """
from drillbook.sdk import store as stores
from drillbook.sdk.deadline import under
service = discovery.service_class("s3")(name="backups", host="far", endpoint=f"http://127.0.0.1:{port}", bucket="b", access_key=secret, secret_key=secret)
with under(Deadline.after(60)):
    store = stores.Store(service)
store._client
"""
XML = b"Content-Type: application/xml\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("ask", ["store.sizes('x/')", "store.history('x/')", "store.versioned()", "store.check()"])
def test_an_endless_answer_of_a_store_is_cut_off(ask):
    said, grown, _ = asked(http(endless(b"<a/>", b"<ListBucketResult>"), XML), STORE, ask)
    assert re.match(
        r"(CouldNotVerify|NotReady): an answer of the store backups at http://\S+ is larger than the limit of 8388608 bytes",
        said,
    ), said
    assert grown < MOST_MIB


@pytest.mark.parametrize(("ask", "one"), [("store.sizes('x/')", "Contents"), ("store.history('x/')", "Version")])
def test_a_list_without_end_is_cut_off(ask, one):
    numbers = itertools.count()

    def page(line, first):
        number = next(numbers)
        keys = "".join(
            f"<{one}><Key>x/{number}-{at:0900}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><Size>1</Size>"
            f"<ETag>e</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></{one}>"
            for at in range(1000)
        )
        body = (
            f"<R><IsTruncated>true</IsTruncated><NextContinuationToken>{number}</NextContinuationToken>"
            f"<NextKeyMarker>{number}</NextKeyMarker><NextVersionIdMarker>{number}</NextVersionIdMarker>{keys}</R>"
        ).encode()
        for piece in chunked([body, b""]):
            line.sendall(piece)

    said, _, _ = asked(http(page, XML), STORE + "stores.MOST_LISTED = 5_000", ask)
    assert re.match(
        r"CouldNotVerify: the list of x/ in the store backups at http://\S+ contains more than 5000 values", said
    ), said
    said, _, _ = asked(http(page, XML), STORE + "stores.MOST_KEYS = 5_000_000", ask)
    assert re.match(
        r"CouldNotVerify: the list of x/ in the store backups at http://\S+ is larger than the limit of 5000000 bytes", said
    ), said


def test_an_answer_of_monitoring_that_would_be_large_in_memory_is_not_read():
    body = b"[" + b"[]," * (10 * MIB) + b"1]"
    said, grown, _ = asked(
        http(lambda line, _: [line.sendall(piece) for piece in chunked([body, b""])]),
        "from drillbook.systems.prometheus.client import Api\n"
        'api = Api(discovery.service_class("prometheus")(name="prometheus", host="m", unit="", url=f"http://127.0.0.1:{port}"), Deadline.after(15))',
        'api.get("/api/v1/alerts")',
    )
    assert said.startswith("CouldNotVerify: the answer of prometheus contains more than 3000000 values"), said
    assert grown < MOST_MIB
