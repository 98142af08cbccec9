"""Files of a dump that are uploaded while pg_dump still writes others."""

import hashlib
import json
import threading
import time
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.transfer import Carrier
from drillbook.systems.postgres import early_upload
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, leftovers, with_tool

place, primary = fixtures.place, fixtures.primary


def test_a_failing_upload_leaves_nothing(place, primary, tmp_path, monkeypatch):
    """The store refuses a file that changes between its digest and its upload, and all other files are removed."""
    survey = Carrier.survey

    def spoil(self, folder, part_size):
        found = survey(self, folder, part_size)
        path = Path(folder, "schema.sql")
        if path.exists():  # it is not among the files that are uploaded while pg_dump runs
            path.write_bytes(path.read_bytes().replace(b"CREATE", b"CREATf", 1))
        return found

    monkeypatch.setattr(Carrier, "survey", spoil)
    with pytest.raises(StepFailed, match=r"schema\.sql"):
        place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/spoiled", part_size="5MiB")
    assert place.keys("spoiled") == []
    assert place.uploads() == []


@pytest.mark.parametrize("changed", [False, True])
def test_finished_files_are_uploaded_while_others_are_dumped(place, primary, tmp_path, changed, monkeypatch):
    """pg_dump keeps one file open until the store has all others except the contents; then it may change a file that
    was already uploaded.
    """
    monkeypatch.setattr(early_upload, "FIRST_LOOK_S", 0.1)
    real, go = Path(primary.service.bin, "pg_dump").resolve(), tmp_path / "go"
    change = 'for last in "$folder"/[0-9]*.gz; do :; done; echo more >> "$last"' if changed else ":"
    held = (
        'exec 9> "$folder/held.gz"; n=0; while [ ! -e '
        + str(go)
        + " ] && [ $n -lt 2000 ]; do sleep 0.05; n=$((n+1)); done; exec 9>&-"
    )
    name = with_tool(
        place,
        primary,
        tmp_path,
        "pg_dump",
        f'case "$*" in *directory*) for word; do case $word in --file=*) folder=${{word#--file=}};; esac; done; '
        f'{real} "$@" || exit; {held}; {change}; exit 0;; esac\nexec {real} "$@"\n',
    )
    to = f"early-{changed}"
    early = []

    def look():
        while not (links := list(Path(place.host.target.scratch).glob("**/early/known/database/*"))):
            time.sleep(0.05)
        while len(found := place.keys(f"{to}/database/")) < len(links):
            time.sleep(0.05)
        early.extend(found)
        go.touch()

    threading.Thread(target=look, daemon=True).start()
    place.run("postgres.dump", service=name, to=f"s3://{BUCKET}/{to}")
    assert early
    assert not any("toc.dat" in key or "held" in key for key in early)
    manifest = json.loads(place.s3().get_object(Bucket=BUCKET, Key=f"{to}/manifest.json")["Body"].read())
    assert {f"{to}/{name}" for name in manifest["files"]} == set(place.keys(f"{to}/")) - {f"{to}/manifest.json"}
    for name, one in manifest["files"].items():
        data = place.s3().get_object(Bucket=BUCKET, Key=f"{to}/{name}")["Body"].read()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (one["sha256"], one["size"])
    assert any(data.endswith(b"more\n") for data in bodies(place, f"{to}/database/")) is changed
    assert place.uploads() == []
    assert leftovers(place) == []


def bodies(place, prefix):
    return [place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in place.keys(prefix)]
