"""Sites files: an inventory for each site, or one inventory with values for each site; groups, limits, and errors
with their place.
"""

import json

import pytest

from drillbook.campaign import sites
from drillbook.errors import UsageError

TEXT = """\
at_most: 7
canary: [shop-2]
waves: [10%, 50%]
abort_if: {failed: 5%, residue: false}
groups:
  north: {at_most: 1, workers: north}
  cluster: {windows: [{days: [sun], from: "02:00", to: "05:00", zone: UTC}], workers: racks}
sites:
  shop-1: {groups: [north]}
  shop-2: {inventory: shop, set: {hosts: {web: {address: 10.0.2.1}}}, groups: [north, cluster]}
  shop-3: {inventory: other/place.yml}
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "sites.yml").write_text(TEXT)
    (tmp_path / "inventory").mkdir()
    (tmp_path / "other").mkdir()
    for name in ("inventory/shop-1", "inventory/shop", "other/place"):
        (tmp_path / f"{name}.yml").write_text("environment: lab\n")
    return tmp_path


def test_a_site_has_an_inventory_of_its_own_or_a_shared_one_with_its_values(root):
    file = sites.load(root, str(root / "sites.yml"))
    found = sites.write_inventories(file, root, sites.inventories(root, file))
    assert found["shop-1"] == str(root / "inventory" / "shop-1.yml")
    assert found["shop-3"] == str(root / "other" / "place.yml")
    assert json.loads((root / "shop-2.yml").read_text()) == {
        "hosts": {"web": {"address": "10.0.2.1"}},
        "include": str(root / "inventory" / "shop.yml"),
    }
    (root / "inventory" / "shop-1.yml").unlink()
    with pytest.raises(UsageError, match="of the site shop-1 does not exist"):
        sites.inventories(root, file)


def test_a_group_of_the_projects_sites_can_be_chosen_and_a_single_site(root):
    file = sites.load(root, "north")
    assert (list(file.sites), file.canary) == (["shop-1", "shop-2"], ("shop-2",))
    assert list(file.single("shop-1").sites) == ["shop-1"]
    with pytest.raises(UsageError, match="no site belongs to the group 'nroth'") as error:
        sites.load(root, "nroth")
    assert "north" in error.value.hint
    with pytest.raises(UsageError, match="there is no site 'shop-9'"):
        file.single("shop-9")


def test_limits_windows_and_labels_of_a_site_are_those_of_its_groups(root):
    file = sites.load(root, str(root / "sites.yml"))
    rules = file.rules()
    assert (rules.at_most, rules.groups, rules.canary, rules.waves) == (7, {"north": 1}, ("shop-2",), (0.1, 0.5))
    assert (rules.failed_share, rules.stop_on_residue) == (0.05, False)
    assert file.labels("shop-2") == ("north", "racks")
    assert [len(site.windows) for site in file.scheduled()] == [0, 1, 0]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("canary: [shop-2]", "canary: [shop-9]", "there is no site 'shop-9'"),
        ("[10%, 50%]", "[50%, 10%]", "the shares must ascend"),
        ("failed: 5%", "failed: 500%", "is not a share"),
        ("shop-3:", "../shop:", "is not a name of a site"),
        ("at_most: 7", "at_moist: 7", "at_most"),
    ],
)
def test_a_mistake_is_told_with_its_place(root, old, new, text):
    path = root / "sites.yml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(UsageError) as error:
        sites.load(root, str(path))
    assert text in f"{error.value}"
    assert "sites.yml" in f"{error.value}{getattr(error.value, 'where', '')}"


def test_all_mistakes_of_a_file_are_reported_at_once(root):
    path = root / "sites.yml"
    path.write_text(TEXT.replace("canary: [shop-2]", "canary: [shop-8, shop-2, shop-9]\nat_most: 8\nwithn: 1h"))
    with pytest.raises(UsageError) as caught:
        sites.load(root, "north")
    assert [error.message for error in (caught.value, *caught.value.others)] == [
        "the key 'at_most' occurs twice, first in line 1",
        "unknown key 'withn'",
        "there is no site 'shop-8'",
        "there is no site 'shop-9'",
    ]
