"""Backups that are only named by their place are valid only with a trusted signature of their manifest."""

import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from drillbook.attestation.manifests import ManifestKeys
from drillbook.cli.orchestration import Orchestrator
from drillbook.engine.vouching import vouched
from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from drillbook.sdk import manifest_signatures
from drillbook.sdk.action import find, known_names
from drillbook.sdk.object_reference import Uri
from drillbook.signing import keys
from tests.attestation.forging import throw_away_key
from tests.needs import need
from tests.program import fault, here
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, KEY, SECRET_KEY

place = fixtures.place
LIVE = "live-of-the-vouched"
OWN = {"to", "uri"}
"""Fields with references other than to existing backups: to a new backup, or to a single object."""
SERVICE = "kind: s3, endpoint: ENDPOINT, access_key: !env LIVE_KEY, secret_key: !env LIVE_SECRET, host: controller"
BACKUP = (
    'backup:\n  - s3.copy: {service: live, to: "s3://BUCKET/NAME"}\n    save: copy\n'
    'verify:\n  - s3.matches: {service: live, manifest: "{{ copy.manifest }}"}\n'
)
RESTORE = (
    'restore:\n  - s3.restore: {service: live, from: "FROM"}\n'
    'verify:\n  - s3.backup_intact: {service: live, from: "FROM"}\n  - s3.matches: {service: live, manifest: "MANIFEST"}\n'
)


class Store:
    """Bucket with one object, drills on it, and backups in a store to which others can write."""

    def __init__(self, root, place):
        self.root, self.s3 = root, place.s3()
        (root / "drills").mkdir()
        services = "".join(
            f"  {name}: {{{SERVICE.replace('ENDPOINT', place.store.endpoint)}, bucket: {bucket}}}\n"
            for name, bucket in (("live", LIVE), ("store", BUCKET))
        )
        services += "  app: {kind: process, host: controller}\n"
        (root / "lab.yml").write_text(f"environment: lab\nhosts: {{{here(root)}}}\nservices:\n{services}")
        self.inventory = inventory.load(root / "lab.yml")
        self.s3.create_bucket(Bucket=LIVE)
        self.s3.put_object(Bucket=LIVE, Key="contract", Body=b"as it was signed")

    def run(self, text):
        path = self.root / "drills" / "sample.yml"
        path.write_text(f"drill: sample\ntitle: A sample\nservice: live\n{text.replace('BUCKET', BUCKET)}")
        self.folder, view = Orchestrator(Project(self.root), self.inventory, lambda event: None).run(
            planner.make(spec.load(path), self.inventory)
        )
        return view.result

    def backup(self, name):
        result = self.run(BACKUP.replace("NAME", name))
        return next(step.facts for step in result.steps if step.action == "s3.copy")

    def restore(self, name, digest=""):
        where = f"s3://{BUCKET}/{name}"
        return self.run(RESTORE.replace("FROM", where + digest).replace("MANIFEST", f"{where}/manifest.json{digest}"))

    def get(self, key, bucket=BUCKET):
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def resealed(self, name):
        """Forge the backup: other content, with a manifest that matches it. Return the digest of the manifest."""
        body = b"as somebody wants it"
        key = next(
            one["Key"]
            for one in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/")["Contents"]
            if one["Key"].endswith("contract")
        )
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        manifest = json.loads(self.get(f"{name}/manifest.json"))
        manifest["objects"]["contract"].update(size=len(body), sha256=hashlib.sha256(body).hexdigest())
        data = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        self.s3.put_object(Bucket=BUCKET, Key=f"{name}/manifest.json", Body=data)
        return data


@pytest.fixture
def store(tmp_path, place, monkeypatch):
    need("ssh-keygen")
    monkeypatch.setenv("LIVE_KEY", KEY)
    monkeypatch.setenv("LIVE_SECRET", SECRET_KEY)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "project").mkdir()
    made = Store(tmp_path / "project", place)
    yield made
    made.s3.delete_object(Bucket=LIVE, Key="contract")
    made.s3.delete_bucket(Bucket=LIVE)


def test_a_backup_that_this_project_took_is_vouched_for(store):
    facts = store.backup("honest")
    assert facts["signed"] is True
    store.s3.delete_object(Bucket=LIVE, Key="contract")
    result = store.restore("honest")
    assert result.verdict == "passed", result.reason
    assert store.get("contract", LIVE) == b"as it was signed"
    step = next(one for one in result.steps if one.action == "s3.restore")
    assert "unvouched" not in step.facts


def removed(store, name, data, thief):
    store.s3.delete_object(Bucket=BUCKET, Key=f"{name}/manifest.json.sig")


def another(store, name, data, thief):
    store.s3.put_object(Bucket=BUCKET, Key=f"{name}/manifest.json.sig", Body=keys.sign(data, thief))


FORGED = {
    "left": (lambda *given: None, "the signature of the manifest does not match"),
    "removed": (removed, "the manifest is not signed"),
    "another": (another, "an unknown key"),
}


@pytest.mark.parametrize("signature", FORGED)
def test_a_backup_that_was_sealed_anew_vouches_for_itself_no_more(store, tmp_path, signature):
    name = f"forged-{signature}"
    facts = store.backup(name)
    forge, why = FORGED[signature]
    forge(store, name, store.resealed(name), throw_away_key(tmp_path))
    store.s3.delete_object(Bucket=LIVE, Key="contract")
    result = store.restore(name)
    assert (result.verdict, result.exit) == ("failed", 1)
    assert next(step for step in result.steps if step.action == "s3.restore").status == "unverified"
    said = (store.folder / "journal.jsonl").read_text()
    assert "has no trusted signature" in said
    assert why in said
    assert "Contents" not in store.s3.list_objects_v2(Bucket=LIVE), "nothing of it was written"
    looked = store.run(f'verify:\n  - s3.backup_intact: {{service: live, from: "s3://BUCKET/{name}"}}\n')
    assert (looked.verdict, looked.exit) == ("inconclusive", 3)
    pinned = store.restore(name, "#" + facts["location"].partition("#")[2])
    assert pinned.verdict == "failed", "who knows the digest is told that it is another one"


def test_a_backup_of_before_is_taken_by_its_digest(store):
    """An unsigned backup is acceptable only if the drill names its digest."""
    facts = store.backup("older")
    store.s3.delete_object(Bucket=BUCKET, Key="older/manifest.json.sig")
    assert store.restore("older").verdict == "failed"
    assert store.restore("older", "#" + facts["location"].partition("#")[2]).verdict == "passed"


def test_once_something_is_broken_a_restore_goes_on_and_says_so(store, place, tmp_path):
    """Lost data is restored even from an unsigned backup, but a comparison with it does not count as passed."""
    store.backup("only")
    store.s3.delete_object(Bucket=BUCKET, Key="only/manifest.json.sig")
    stage = SimpleNamespace(journal=SimpleNamespace(patient=True))
    ctx = replace(place.context(), vouchers=ManifestKeys(tmp_path / "project"))
    where = f"s3://{BUCKET}/only"
    restore = find("s3.restore").model_validate({"service": "live", "from": where})
    pinned, facts = vouched(stage, restore, ctx)
    assert pinned.from_.startswith(f"{where}#sha256=")
    assert facts == {"unvouched": f"{pinned.from_} has no trusted signature: the manifest is not signed"}
    matches = find("s3.matches").model_validate({"service": "live", "manifest": f"{where}/manifest.json"})
    with pytest.raises(CouldNotVerify, match="has no trusted signature"):
        vouched(stage, matches, ctx)


def test_every_field_that_names_a_backup_is_looked_at():
    """A field with another name could refer to a backup whose signature is not checked."""
    checks = Uri.__metadata__[0].func
    for name in known_names():
        for field, info in find(name).model_fields.items():
            named = any(checks.__name__ in str(one) for one in (info.annotation, *info.metadata))
            if named or field in manifest_signatures.FIELDS:
                assert field in {*manifest_signatures.FIELDS, *OWN}, f"{name}: {field}"


def test_what_is_put_there_after_the_look_was_not_looked_at(store, place, tmp_path):
    facts = store.backup("genuine")
    ctx = replace(place.context(), vouchers=ManifestKeys(tmp_path / "project"))
    ctx.services["live"] = inventory.load(store.root / "lab.yml").services["live"]
    where = f"s3://{BUCKET}/late"
    for name, field in (("s3.restore", "from"), ("s3.matches", "manifest"), ("s3.backup_intact", "from")):
        named = find(name).model_validate({"service": "live", field: where})
        action, doubt = manifest_signatures.pinned(named, ctx)
        assert doubt == "", "there is nothing to doubt"
        with pytest.raises(StepFailed, match="does not exist"):
            action.run(ctx)
        place.copy(facts["location"])
        for key in place.keys("genuine/"):
            store.s3.put_object(Bucket=BUCKET, Key=key.replace("genuine", "late"), Body=store.get(key))
        store.resealed("late")
        with pytest.raises(StepFailed, match="not the manifest"):
            action.run(ctx)
        for key in place.keys("late/"):
            store.s3.delete_object(Bucket=BUCKET, Key=key)


def test_a_second_attempt_forgets_no_doubt(store):
    """A restore that continues with unsigned content is attempted again, and the run does not pass because of this."""
    store.backup("again")
    store.s3.delete_object(Bucket=BUCKET, Key="again/manifest.json.sig")
    store.s3.delete_object(Bucket=LIVE, Key="contract")
    mark = str(store.root / "broken")
    result = store.run(
        fault(["touch", mark], ["rm", "-f", mark], ["test", "-e", mark])
        + f'restore:\n  - s3.restore: {{service: live, from: "s3://{BUCKET}/again"}}\n    retries: 1\n'
        '    expect: ["result.restored == 0"]\n'
        f'verify:\n  - s3.get: {{uri: "s3://{LIVE}/contract"}}\n'
    )
    step = next(one for one in result.steps if one.action == "s3.restore")
    assert (step.status, step.facts["restored"]) == ("done", 0), "the second attempt had nothing left to bring back"
    assert "the manifest is not signed" in step.facts["unvouched"]
    assert result.verdict != "passed"


def test_an_archive_that_was_sealed_anew_vouches_for_itself_no_more(store):
    folder = store.root / "site"
    folder.mkdir()
    (folder / "index.html").write_text("as it was signed")
    where = f"s3://{BUCKET}/site"
    taken = store.run(
        f'backup:\n  - files.archive: {{service: app, path: {folder}, to: "{where}"}}\n'
        f'verify:\n  - files.backup_intact: {{service: app, from: "{where}"}}\n'
        f'  - files.matches: {{service: app, manifest: "{where}/manifest.json"}}\n'
    )
    assert taken.verdict == "passed", taken.reason
    manifest = json.loads(store.get("site/manifest.json"))
    manifest["run"] = "another"
    store.s3.put_object(Bucket=BUCKET, Key="site/manifest.json", Body=json.dumps(manifest).encode())
    for action, field in (("backup_intact", "from"), ("matches", "manifest")):
        result = store.run(f'verify:\n  - files.{action}: {{service: app, {field}: "{where}"}}\n')
        assert (result.verdict, result.exit) == ("inconclusive", 3)
    (folder / "index.html").unlink()
    folder.rmdir()
    result = store.run(
        f'restore:\n  - files.extract: {{service: app, from: "{where}"}}\n'
        f"verify:\n  - files.digest: {{path: {folder}/index.html}}\n    hosts: controller\n"
    )
    assert (result.verdict, result.exit, folder.exists()) == ("failed", 1, False)
