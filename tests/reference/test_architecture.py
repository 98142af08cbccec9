"""Architecture page: every package comes after those that it imports, and a cycle of imports is an error."""

import pytest

from drillbook.reference import architecture


def test_every_package_comes_after_those_that_it_imports():
    graph = architecture.imports()
    names = list(graph)
    for name, others in graph.items():
        assert all(names.index(other) < names.index(name) for other in others), name
    assert {"judge", "journal"} <= graph["report"]


def test_an_import_belongs_to_its_package_and_a_module_without_one_to_the_ground(tmp_path):
    (tmp_path / "module.py").write_text(
        "import os\nfrom drillbook.judge import clocks\nfrom drillbook.values import Secret\n"
    )
    names = list(architecture.imported(tmp_path / "module.py"))
    assert names == ["drillbook.judge.clocks", "drillbook.values.Secret"]
    assert [architecture.room(name) for name in names] == ["judge", "ground"]


def test_packages_that_import_each_other_are_an_error(tmp_path, monkeypatch):
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"from drillbook import {other}\n")
    monkeypatch.setattr(architecture, "_root", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"in a cycle: \['one', 'two'\]"):
        architecture.imports()
