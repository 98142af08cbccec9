"""Inventories that tests write and load."""

from drillbook.inventory import inventory


def loaded(tmp_path, ansible_text, ours="", name="hosts"):
    (tmp_path / name).write_text(ansible_text)
    path = tmp_path / "staging.yml"
    path.write_text(f"environment: staging\nansible: {name}\n{ours}")
    return inventory.load(path)
