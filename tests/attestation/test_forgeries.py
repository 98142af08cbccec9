"""Every forgery of the table is detected by the verification or the audit, whichever command the operator types after it.

CI runs one command after each forgery, another one for each commit; `invoke test --all` runs all of them.
"""

import pytest

from tests import tiers
from tests.attestation.forgeries import COMMANDS, FORGERIES, Site, rows
from tests.needs import need

pytestmark = pytest.mark.long(30)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    need("ssh-keygen")
    return Site(tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_a_forgery_is_never_verified_and_never_signed(site, forgery):
    commands = dict(zip(map(" ".join, COMMANDS), COMMANDS, strict=True))
    for row in rows(site, forgery, [commands[name] for name in tiers.drawn(list(commands), 1, forgery.name)]):
        if row.healed:
            continue
        verified = {name: told for name, told in row.verified.items() if not told.status}
        assert verified == {}, (row.command, row)
        assert row.audit.status != 0, (row.command, row)


def test_the_site_itself_is_verified_before_anything_is_forged(site):
    site.restored()
    assert site.untouched() == {"passed": 0, "suite": 0, "failed": 0, "audit": 0}


def test_the_table_is_long_enough():
    assert len(FORGERIES) >= 30
    assert len({forgery.name for forgery in FORGERIES}) == len(FORGERIES)
