"""Places of entries in an inventory."""

from drillbook.sdk.service import Http
from drillbook.sdk.written_at import WrittenAt


def api(*place):
    made = Http(name="api", host="web-1", url="http://web-1")
    if place:
        made.written_at(*place)
    return made


def test_a_setting_is_named_with_its_file_and_line():
    made = api("/srv/project/inventory/lab.yml", 12, {"url": 14})
    assert made.setting("url") == "`services.api.url` (inventory/lab.yml:14)"
    assert made.setting("unit") == "`services.api.unit` (inventory/lab.yml:12)", "the line of the entry"
    assert api().setting("url") == "`services.api.url`"


def test_an_entry_is_the_same_wherever_it_is_written():
    assert api("a.yml", 1, {}) == api("b.yml", 2, {"url": 3}) == api()
    assert len({WrittenAt("a.yml", 1), WrittenAt("b.yml", 2)}) == 1
    assert WrittenAt() != ""
    assert "written" not in str(api("a.yml", 1, {}).model_dump())
