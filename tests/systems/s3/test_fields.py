"""Checks of stores and buckets before a drill."""

import pytest

from drillbook.errors import NotReady
from tests.systems.postgres.site import BUCKET
from tests.systems.refusals import refused_until
from tests.systems.s3.live import context


def test_the_wrong_kind_of_bucket_is_not_ready(place, plain, versioned):
    for name, fields in (
        ("s3.delete_objects", {}),
        ("s3.corrupt_object", {"key": "a/one"}),
        ("s3.versions_restore", {"at": "2026-01-01T00:00:00Z"}),
    ):
        action, places = place.action(name, service="live", **fields), [plain, versioned]
        refused_until(
            lambda: action.ready(context(place, places[0])),  # noqa: B023  runs at once
            f"the bucket {plain} keeps no versions",
            lambda: places.pop(0),  # noqa: B023
        )
    action, places = place.action("s3.lose_objects", service="live", **{"from": f"s3://{BUCKET}/x"}), [versioned, plain]
    said = "keeps versions; a copy contains only the current versions"
    refused_until(lambda: action.ready(context(place, places[0])), said, lambda: places.pop(0))


@pytest.mark.parametrize(
    ("name", "fields"),
    [("s3.lose_objects", {"from": f"s3://{BUCKET}/x"}), ("s3.delete_objects", {})],
    ids=["lose", "delete"],
)
def test_a_bucket_that_does_not_exist_is_told_before(place, plain, versioned, name, fields):
    ctx = context(place, versioned if name == "s3.delete_objects" else plain)
    live, action = ctx.services["live"], place.action(name, service="live", **fields)
    ctx.services["live"] = live.model_copy(update={"bucket": "no-such-bucket"})
    said = "refused to show the versioning of no-such-bucket: NoSuchBucket"
    refused_until(lambda: action.ready(ctx), said, lambda: ctx.services.update(live=live))


def test_two_stores_are_refused(place, plain):
    ctx = context(place, plain)
    live = ctx.services["live"]
    ctx.services["live"] = live.model_copy(update={"endpoint": live.endpoint.replace("127.0.0.1", "localhost")})
    action = place.action("s3.copy", service="live", to=f"s3://{BUCKET}/elsewhere")
    said = "live and store are in different stores .*, but objects can be copied only inside one store"
    with pytest.raises(NotReady, match="live and store are in different stores"):
        action.run(ctx)
    refused_until(lambda: action.ready(ctx), said, lambda: ctx.services.update(live=live))
