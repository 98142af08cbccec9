"""Context of an action: services by name and bucket, and checks before a drill."""

from dataclasses import replace

import pytest

from drillbook.errors import NotReady, PlanError
from drillbook.hosts.local import LocalHost
from drillbook.sdk.context import Context
from drillbook.sdk.host import Deadline, Target
from drillbook.sdk.service import S3, Http
from drillbook.values import Secret

KEY = Secret(source="env", name="KEY")


def store(name, bucket):
    return S3(name=name, host="db-1", endpoint="http://store", bucket=bucket, access_key=KEY, secret_key=KEY)


@pytest.fixture
def ctx(tmp_path):
    host = LocalHost("here", target=Target(name="here", local=True, scratch=str(tmp_path / "scratch")))
    (tmp_path / "scratch").mkdir()
    services = {name: store(name, bucket) for name, bucket in (("first", "a"), ("second", "b"), ("third", "b"))}
    services["api"] = Http(name="api", host="here", url="http://127.0.0.1")
    (tmp_path / "run" / "evidence").mkdir(parents=True)
    return Context("r1", "verify.1", host, services, lambda name: host, Deadline.after(60), tmp_path / "run")


def test_a_service_is_of_the_kind_that_the_step_needs(ctx):
    assert ctx.service("api", Http).name == "api"
    with pytest.raises(PlanError, match=r"verify\.1 needs a service of kind s3, but 'api' has the kind http"):
        ctx.service("api", S3)
    with pytest.raises(PlanError, match="'nothing' is not in the inventory"):
        ctx.service("nothing", Http)


def test_a_bucket_is_that_of_exactly_one_service(ctx):
    assert ctx.bucket("s3://a/folder#sha256=0").name == "first"
    for uri, number in (("s3://b/folder", 2), ("s3://c", 0), ("/srv/a", 0)):
        with pytest.raises(PlanError, match=f"there are {number}"):
            ctx.bucket(uri)


def test_what_an_earlier_step_may_supply_is_doubted_and_not_refused(ctx):
    refusal, told = NotReady("here: the program x is not installed"), []
    with pytest.raises(NotReady):
        ctx.lacking(refusal)
    for cause in ("changed", "disturbed"):
        replace(ctx, doubt=told.append, **{cause: True}).lacking(refusal)
        replace(ctx, **{cause: True}).lacking(refusal)
    assert told == ["here: the program x is not installed; an earlier step may change this"] * 2


def test_a_temporary_folder_is_removed_also_after_an_error(ctx):
    with pytest.raises(ZeroDivisionError), ctx.temporary("dump") as folder:
        assert folder == f"{ctx.scratch}/dump-verify.1"
        assert ctx.run("test", "-d", folder).ok
        raise ZeroDivisionError
    assert not ctx.run("test", "-e", folder).ok


def test_each_attempt_keeps_its_own_evidence(ctx):
    files = [ctx.evidence("a name/x", content)["file"] for content in (b"first", "second")]
    assert files == ["evidence/verify.1.here.a_name_x", "evidence/verify.1.here.a_name_x~2"]
    assert len(ctx.kept_evidence("a name/x")) == 2
    assert replace(ctx, step="verify.2").kept_evidence("a name/x") == []
