"""Services of kinds without a known size are reported before a drill."""

from drillbook.sdk.action import find
from drillbook.sdk.service import S3, Http
from drillbook.values import Secret
from tests.systems.refusals import refused_until


def test_a_service_without_a_size_is_told_before(ground):
    access = {"access_key": Secret(source="env", name="X"), "secret_key": Secret(source="env", name="X")}
    store = S3(name="it", host="here", endpoint="http://127.0.0.1:1", bucket="b", **access)
    ground.services["it"] = Http(name="it", host="here", url="http://127.0.0.1:1")
    collect = find("capacity.collect").model_validate({"service": "it"})
    said = "'it' is not a service of kind postgres or s3"
    refused_until(lambda: collect.ready(ground.ctx()), said, lambda: ground.services.update(it=store))
