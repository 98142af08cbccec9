"""Errors of a store: missing objects, refusals, and a store that does not answer."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from drillbook.errors import CouldNotVerify
from drillbook.sdk import s3errors
from drillbook.sdk.host import Deadline
from drillbook.sdk.service import S3
from drillbook.values import Secret

KEY = Secret(source="env", name="KEY")
STORE = S3(name="backups", host="db-1", endpoint="http://store:9000", bucket="saved", access_key=KEY, secret_key=KEY)


def answered(code):
    return ClientError({"Error": {"Code": code, "Message": "it says why"}}, "GetObject")


def raised(error, seconds=60):
    with pytest.raises(CouldNotVerify) as told, s3errors.asking(STORE, Deadline.after(seconds), "list"):
        raise error
    return told.value


@pytest.mark.parametrize(
    ("code", "refused", "hint"),
    [
        ("AccessDenied", True, "`access_key`"),
        ("SignatureDoesNotMatch", True, "`access_key`"),
        ("NoSuchBucket", False, "`bucket`"),
        ("SlowDown", False, ""),
    ],
)
def test_a_refusal_names_the_code_and_the_setting_to_check(code, refused, hint):
    error = raised(answered(code))
    assert error.message == f"the store backups refused to list: {code}: it says why"
    assert s3errors.is_refused(error) is refused
    assert hint in (error.hint or "")


def test_a_store_that_does_not_answer_is_named_with_its_address():
    error = raised(EndpointConnectionError(endpoint_url="http://store:9000"))
    assert error.message == "the store backups at http://store:9000 could not list: EndpointConnectionError"
    assert "`endpoint`" in error.hint
    assert not s3errors.is_refused(error)


def test_an_error_of_drillbook_that_the_library_wrapped_is_told_itself():
    with pytest.raises(ValueError, match="wrapped") as wrapped:
        try:
            raise CouldNotVerify("the answer is too large")
        except CouldNotVerify:
            raise ValueError("wrapped")  # noqa: B904  as the library does
    assert raised(wrapped.value).message == "the answer is too large"


def test_after_the_deadline_nothing_is_asked():
    with pytest.raises(TimeoutError), s3errors.asking(STORE, Deadline.after(-1), "list"):
        pytest.fail("the store was asked")
    deadline = Deadline.after(0.05)
    with pytest.raises(TimeoutError), s3errors.asking(STORE, deadline, "list"):
        deadline.cancel.wait(0.1)
        raise OSError("cut off at the deadline")


def test_an_object_that_is_missing_is_none_and_other_errors_stay():
    def fails(code):
        raise answered(code)

    assert s3errors.unless(s3errors.MISSING, lambda: 7) == 7
    assert s3errors.unless(s3errors.MISSING, lambda: fails("NoSuchKey")) is None
    with pytest.raises(ClientError):
        s3errors.unless(s3errors.MISSING, lambda: fails("AccessDenied"))
