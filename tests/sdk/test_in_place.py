"""Backups inside the folder that a fault destroys cannot restore it."""

from dataclasses import replace

import pytest

from drillbook.inventory.inventory import Inventory
from drillbook.sdk.in_place import lies_in
from tests.systems.estate import HERE, Estate


def written(value, root):
    """The fields of a source with paths below ``root``."""
    if isinstance(value, str):
        return value.replace("ROOT", str(root))
    if isinstance(value, dict):
        return {key: written(item, root) for key, item in value.items()}
    return [written(item, root) for item in value] if isinstance(value, list) else value


def reason(tmp_path, source, host=HERE):
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "link").symlink_to(site)
    place = Estate(tmp_path, services={}, backups={})
    made = Inventory.model_validate(
        {
            "environment": "lab",
            "hosts": {HERE: {"local": True}, "far": {"address": "10.0.0.9"}},
            "backups": {"nightly": {"host": host, **written(source, tmp_path)}},
        }
    )
    return lies_in(replace(place.ctx(), hosts=made.hosts), made.services["nightly"], str(site))


SECRET = {"source": "env", "name": "P"}
INSIDE = [
    {"kind": "tar", "at": "ROOT/site/archives"},
    {"kind": "tar", "at": "ROOT/site"},
    {"kind": "tar", "at": "ROOT/link/archives"},
    {"kind": "restic", "repository": "ROOT/site/restic", "password": SECRET, "paths": ["/srv"]},
    {"kind": "restic", "repository": "local:ROOT/site/restic", "password": SECRET, "paths": ["/srv"]},
    {"kind": "pgbackrest", "stanza": "main", "options": {"repo1-path": "ROOT/site/pgbackrest"}},
]
OUTSIDE = [
    {"kind": "tar", "at": "ROOT/beside"},
    {"kind": "tar", "at": "ROOT/site-2"},
    {"kind": "tar", "at": "s3://bucket/ROOT/site/"},
    {"kind": "tar", "at": ["cat", "ROOT/site/archive"]},
    {"kind": "restic", "repository": "sftp:user@host:ROOT/site/restic", "password": SECRET, "paths": ["/srv"]},
    {"kind": "pgbackrest", "stanza": "main", "options": {"repo1-path": "ROOT/site/pgbackrest", "repo1-host": "repo"}},
]


@pytest.mark.parametrize("source", INSIDE)
def test_backups_in_the_folder_would_be_lost_with_it(tmp_path, source):
    assert reason(tmp_path, source) == f"the backup is in {tmp_path / 'site'}, which the fault destroys"


@pytest.mark.parametrize("source", OUTSIDE)
def test_backups_elsewhere_are_not_lost(tmp_path, source):
    assert reason(tmp_path, source) == ""


@pytest.mark.parametrize("source", INSIDE)
def test_the_same_path_on_another_host_is_another_folder(tmp_path, source):
    assert reason(tmp_path, source, host="far") == ""


@pytest.mark.parametrize(("at", "lost"), [("sftp://here/", True), ("sftp://far/", False)])
def test_backups_that_are_read_by_sftp_are_on_the_host_of_the_address(tmp_path, at, lost):
    source = {"kind": "tar", "at": f"{at.rstrip('/')}ROOT/site/archives"}
    assert bool(reason(tmp_path, source, host="far")) == lost
