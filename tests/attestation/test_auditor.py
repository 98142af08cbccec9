"""Detecting forgeries without Drillbook, only with the commands of the page docs/audit.md."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from drillbook.attestation import anchor_places
from tests.attestation.forgeries import FORGERIES, Site
from tests.needs import need

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
PLANTED = (
    "turned passed, chained anew",
    "turned passed, signed with a throw-away key",
    "turned passed, the attestation removed",
    "the end is cut off",
    "an older genuine run lies in the folder of the newer one",
    "the newest run is removed",
    "the same, signed with a throw-away key",
    "a drill of a suite is turned passed",
    "evidence is changed",
    "evidence is added",
    "evidence is a link to elsewhere",
    "report.html is another one",
    "the signature is that of another run",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    need("ssh-keygen")
    return Site(tmp_path_factory.mktemp("site"))


def audited(site, folder):
    """Output of the page's commands for a copy of ``reports/``."""
    script = re.search(r"## Without Drillbook.*?```sh\n(.*?)```", PAGE.read_text(), re.S)[1]
    with site.operator():
        anchor = anchor_places.default(site.first.root / "reports")
    shutil.copytree(site.first.root / "reports", folder / "reports", symlinks=True)
    shutil.copy(anchor, folder / "ANCHOR")
    public = (site.root / "config" / "drillbook" / "signing_key.pub").read_text()
    (folder / "ALLOWED_SIGNERS").write_text(f'ann@example.com namespaces="drillbook-attestation" {public}')
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.stdout


def test_an_untouched_copy_is_as_it_was(site, tmp_path):
    site.restored()
    assert audited(site, tmp_path) == ""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_forgery_is_found(site, tmp_path, name):
    site.restored()
    forgery = next(one for one in FORGERIES if one.name == name)
    forgery.do(site)
    assert getattr(site, forgery.on).name in audited(site, tmp_path)
