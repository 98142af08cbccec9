"""Rights at a store, with access keys that may only read, and a real store."""

import hashlib
import json
from pathlib import Path

import pytest

from drillbook.errors import NotReady
from drillbook.hosts.fake import FakeHost
from drillbook.sdk import store_rights
from drillbook.sdk.context import Context
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline
from drillbook.sdk.store import Store
from tests.systems.postgres import site
from tests.systems.refusals import refused_until

READER, READER_SECRET = "reader-for-tests", "reader-secret-for-tests"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A store with two access keys: one may do everything, the other may only read."""
    folder = tmp_path_factory.mktemp("store")
    config = folder / "identities.json"
    keys = (("all", site.KEY, site.SECRET_KEY, ["Admin"]), ("reader", READER, READER_SECRET, ["Read", "List"]))
    identities = [
        {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for name, key, secret, actions in keys
    ]
    config.write_text(json.dumps({"identities": identities}))
    with site.store(folder, **{"s3.config": config}) as made:
        site.make_bucket(made)
        yield made


@pytest.fixture
def stores(service):
    """The store with the keys that may do everything, and with those that may only read."""
    secrets = {"access_key": site.secret(READER, "READER_KEY"), "secret_key": site.secret(READER_SECRET, "READER_SECRET")}
    with under(Deadline.after(60)):
        yield Store(service), Store(service.model_copy(update=secrets))


def put(store, content):
    store.put("kept/file", content, hashlib.sha256(content).hexdigest(), overwrite=True)


def test_keys_that_may_only_read_are_refused_as_the_target_of_a_backup(stores):
    whole, reader = stores
    put(whole, b"content")
    chosen, context = [reader], Context("run", "step", FakeHost(), {}, FakeHost, Deadline.after(60), Path())
    refused_until(
        lambda: store_rights.need_target(context, chosen[0], f"s3://{site.BUCKET}/backups"),
        r"the access keys of the store store may read but not write objects such as backups/drillbook-right-\w+: .*AccessDenied",
        lambda: chosen.insert(0, whole),
    )
    assert whole.unfinished("") == []
    assert set(whole.live("")) == {"kept/file"}
    # Steps of one check with the same place share one trial; a refusal is tried again.
    store_rights.need_target(context, reader, f"s3://{site.BUCKET}/backups/")
    with pytest.raises(NotReady, match="objects such as elsewhere/drillbook-right"):
        store_rights.need_target(context, reader, f"s3://{site.BUCKET}/elsewhere")


@pytest.mark.parametrize("version", ["", "null"])
def test_keys_that_may_not_delete_are_refused(stores, version):
    whole, reader = stores
    put(whole, b"content")
    chosen = [reader]
    refused_until(
        lambda: store_rights.need_deletable(chosen[0], "kept", version=version),
        r"the access keys of the store store may not delete objects such as kept/drillbook-right-\w+: .*AccessDenied",
        lambda: chosen.insert(0, whole),
    )
    assert set(whole.history("")) == {"kept/file"}


def test_a_fault_in_a_versioned_bucket_leaves_no_marker_when_it_asks(stores, service):
    whole, _ = stores
    bucket = {"Bucket": site.BUCKET}
    site.client(service).put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
    put(whole, b"again")
    before = whole.history("")
    store_rights.need_deletable(whole, "kept")
    assert whole.history("") == before
