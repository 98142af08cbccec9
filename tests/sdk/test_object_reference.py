"""References to objects: what is wrong with one is named."""

import pytest

from drillbook.sdk.object_reference import Reference


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("s3://a/b", "the name of the bucket, 'a', is too short; it must have 3 to 63 characters"),
        (f"s3://{'a' * 64}/b", f"the name of the bucket, '{'a' * 64}', is too long; it must have 3 to 63 characters"),
        ("s3://Backups/b", "the name of the bucket, 'Backups', may have only lower-case letters"),
        ("s3://-backups/b", "must begin and end with a letter or digit"),
        ("s3://backups", "write it as s3://bucket/key"),
        ("s3:///key", "write it as s3://bucket/key"),
        ("s3://backups/b#sha256=12", "write it as s3://bucket/key or s3://bucket/key#sha256=HEX"),
    ],
)
def test_a_reference_is_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match="is not a reference") as caught:
        Reference.parse(text)
    assert reason in str(caught.value)


def test_a_bucket_of_three_characters_is_right():
    assert Reference.parse("s3://abc/b") == Reference("abc", "b")
