"""Base of services: the names of their locks, and the secrets to which a parameter refers."""

import pytest

from drillbook.errors import PlanError
from drillbook.sdk.service import S3, Http, KeptIn, Service, handed, is_sandbox, kind_of, origin, word
from drillbook.systems.redis.service import Redis
from drillbook.values import SECRET_MARK, Secret

KEY = Secret(source="env", name="KEY")


def api(**fields):
    return Http.model_validate({"name": "api", "host": "web-1", "url": "http://web-1:8000/v1/", **fields})


def store(**fields):
    given = {
        "name": "saved",
        "host": "db-1",
        "endpoint": "http://store",
        "bucket": "b",
        "access_key": KEY,
        "secret_key": KEY,
    }
    return S3.model_validate({**given, **fields})


@pytest.mark.parametrize(
    ("service", "name"),
    [
        (api(unit="api.service", port=8000), "unit-api.service"),
        (api(port=8000), "port-8000"),
        (api(), "http-web-1-8000-v1"),
        (store(), "s3-b-at-store-80"),
        (store(endpoint="https://127.0.0.1"), "s3-b-at-localhost-443"),
        (Service(name="a name/x", host="web-1"), "a-name-x"),
    ],
)
def test_a_lock_is_named_after_the_thing_and_not_after_its_name(service, name):
    assert service.lock_name == name


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://Web-1/x", "web-1-80"),
        ("https://[::1]:8443/", "localhost-8443"),
        ("http://localhost:x/", "localhost-80"),
        ("", "-0"),
    ],
)
def test_the_origin_of_a_url_has_always_a_port(url, expected):
    assert origin(url) == expected


def test_a_word_can_be_the_name_of_a_folder():
    assert word("unit", "/a b/c/", "") == "unit-a-b-c"


def test_fields_of_later_versions_are_written_only_when_they_are_used():
    """Otherwise the digests of older plans would change."""
    assert not {"keep", "encrypt", "identity", "become"} & store().model_dump().keys()
    assert store(keep={"last": 5}, become="web").model_dump().keys() >= {"keep", "become"}


def test_the_folder_of_the_data_is_kept_on_the_host():
    cache = Redis(name="cache", host="db-1", data_directory="/srv/data/")
    assert cache.kept_in == (KeptIn("db-1", "/srv/data"),)
    assert api().kept_in == ()


def test_only_a_copy_is_a_sandbox():
    assert is_sandbox(Redis.model_validate({"name": "copy", "host": "db-1", "sandbox": {"data_may_leave": True}}))
    assert not is_sandbox(api())
    assert not is_sandbox(None)
    assert kind_of(api()) == "http"


def test_a_parameter_may_refer_to_a_secret_of_the_inventory():
    services = {"saved": store()}
    assert handed("Bearer x", services) == "Bearer x"
    assert handed(f"{SECRET_MARK}services.saved.access_key", services) == KEY
    for place in ("services.saved.bucket", "services.saved.nothing", "services.other.access_key"):
        with pytest.raises(PlanError, match=f"the inventory has no secret {place}"):
            handed(f"{SECRET_MARK}{place}", services)
