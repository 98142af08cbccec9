"""A folder created for one run is entered only while it is still the same folder."""

import pytest

from drillbook.sdk import host_programs, nofollow
from tests.systems.ground import Ground


@pytest.fixture
def ground(tmp_path):
    made = Ground(tmp_path)
    yield made
    made.close()


def test_a_folder_is_entered_by_its_identity_alone(ground):
    ctx = ground.ctx()
    made, other = (host_programs.made_in(ctx, str(ground.root), name) for name in ("made", "other"))
    assert len(made) == len(other) == 43
    folder = str(ground.root / "made")
    assert ctx.run(*nofollow.inside(folder, made), "pwd").check().text == folder
    assert ctx.run(*nofollow.inside(folder, other), "pwd").exit == nofollow.REFUSED
