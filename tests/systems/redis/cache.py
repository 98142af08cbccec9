"""Keys of every kind on a server, and the actions on them."""

import hashlib
import json
import threading
import time

from tests.systems.postgres.site import BUCKET
from tests.systems.redis.unit import Unit

LEASE_MS = int(time.time() * 1000) + 3_600_000
ODD = b"odd \xff\x00:%41\n"


def fill(cache: Unit) -> None:
    client = cache.client()
    pipe = client.pipeline(transaction=False)
    for number in range(150):
        pipe.hset(f"session:{number}", mapping={"user": f"user-{number}", "token": "t" * number})
        pipe.set(f"views:{number}", number)
    pipe.hset("large:hash", mapping={f"field-{n}": n for n in range(600)})
    pipe.sadd("large:set", *[f"member-{n}" for n in range(700)])
    pipe.sadd("numbers", 3, 1, 2)
    pipe.rpush("queue", "b", "a", "b")
    pipe.zadd("ranks", {"one": 1, "third": 1 / 3, "inf": float("inf")})
    pipe.xadd("events", {"a": "1"}, id="1-1")
    pipe.xadd("events", {"a": "2"}, id="2-1")
    pipe.xgroup_create("events", "readers", id="1-1")
    pipe.set(ODD, b"\x00\xff")
    pipe.set("lease", "mine", pxat=LEASE_MS)
    pipe.execute()
    cache.client(3).set("views:1", "another database")


def codes(failure):
    return {one.code for one in failure.value.findings}


def matches(cache, saved, **options):
    return cache.run("redis.matches", manifest=saved["manifest"], **options)


def restore(cache, location, **options):
    return cache.run("redis.restore", **options, **{"from": location})


def flipped(body):
    return body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 1]) + body[len(body) // 2 + 1 :]


def forged(place, saved, change=lambda body: body, **values):
    """Backup with matching digests and wrong content."""
    location, prefix = place.copy(saved["location"])
    body = change(place.s3().get_object(Bucket=BUCKET, Key=f"{prefix}/dump.rdb")["Body"].read())
    manifest = json.loads(place.s3().get_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json")["Body"].read()) | values
    manifest["files"] = {"dump.rdb": {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}}
    place.s3().put_object(Bucket=BUCKET, Key=f"{prefix}/dump.rdb", Body=body)
    place.s3().put_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json", Body=json.dumps(manifest).encode())
    return location.partition("#")[0]


def when_there(look, act):
    """Run ``act`` as soon as ``look`` is true."""

    def watch():
        until = time.monotonic() + 20
        while not look() and time.monotonic() < until:
            time.sleep(0.001)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread
