"""References to secrets: the tags `!env`, `!file` and `!command`."""

import pytest

from drillbook.errors import InventoryError
from drillbook.inventory import inventory
from drillbook.values import Secret

TEXT = "environment: lab\nhosts: {{db-1: {{}}}}\nservices:\n  cache: {{kind: redis, host: db-1, password: {}}}\n"


def load(tmp_path, tag):
    path = tmp_path / "inventory.yml"
    path.write_text(TEXT.format(tag))
    return inventory.load(path).services["cache"].password


def test_a_variable_a_file_and_a_command_are_not_read_with_the_inventory(tmp_path, monkeypatch):
    monkeypatch.delenv("CACHE_PASSWORD", raising=False)
    monkeypatch.setenv("HOME", "/home/ops")
    assert load(tmp_path, "!env CACHE_PASSWORD") == Secret(source="env", name="CACHE_PASSWORD")
    assert load(tmp_path, "!file secrets/cache") == Secret(source="file", name=str(tmp_path / "secrets/cache"))
    assert load(tmp_path, "!file ~/cache") == Secret(source="file", name="/home/ops/cache")
    ran = tmp_path / "ran"
    assert load(tmp_path, f"!command [touch, {ran}]") == Secret(source="command", name=("touch", str(ran)))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("!env 1X", "!env: expected the name of an environment variable"),
        ("!env CAFÉ", "!env: expected the name of an environment variable"),
        ("!env [A]", "!env: expected the name of an environment variable"),
        ("!file ''", "!file: expected the path of a file"),
        ("!command pass show", "!command: expected a list: the program and its arguments"),
        ("!command []", "!command: expected a list: the program and its arguments"),
        ("!command [pass, 1]", "!command: expected a list: the program and its arguments"),
    ],
)
def test_a_reference_that_cannot_be_one_is_an_error_at_its_place(tmp_path, tag, message):
    with pytest.raises(InventoryError) as caught:
        load(tmp_path, tag)
    assert message in caught.value.message
    assert caught.value.where.line == 4
