"""A bucket with objects, and the actions on it, for the tests of this folder."""

import itertools

from drillbook.sdk.action import find
from tests.systems.postgres.site import BUCKET

NUMBERS = itertools.count()


def make(place, versioning):
    """Bucket with five objects, the service `live` of the inventory."""
    name = f"live-bucket-{next(NUMBERS)}"
    place.s3().create_bucket(Bucket=name)
    if versioning:
        place.s3().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a/one", "a/two", "a/ü +&%?", "b/three", "b/empty"):
        place.s3().put_object(
            Bucket=name,
            Key=key,
            Body=b"" if key == "b/empty" else key.encode() * 100,
            Metadata={"own": "kept"},
            ContentType="text/x-own",
        )
    yield name


def context(place, bucket):
    ctx = place.context()
    ctx.services["live"] = place.store.model_copy(update={"name": "live", "bucket": bucket})
    return ctx


def copied(place, bucket, **fields):
    to = f"s3://{BUCKET}/copy-{next(NUMBERS)}"
    return place.run("s3.copy", ctx=context(place, bucket), service="live", to=to, **fields)


def matches(place, bucket, facts, **fields):
    return place.run("s3.matches", ctx=context(place, bucket), service="live", manifest=facts["manifest"], **fields)


def act(place, bucket, name, **fields):
    return place.run(name, ctx=context(place, bucket), service="live", **fields)


def codes(failure):
    return [(one.code, one.title.rpartition(": ")[2]) for one in failure.value.findings]


def body(place, bucket, key):
    return place.s3().get_object(Bucket=bucket, Key=key)["Body"].read()


def undo(place, ctx, action):
    put_back = action.undo(ctx)
    find(put_back.action).model_validate(put_back.params).run(ctx)
