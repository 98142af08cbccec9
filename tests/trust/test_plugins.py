"""Files of a project's plugins, read once; `tests/plugins/test_project.py` imports them in the program."""

import importlib.util

import pytest

from drillbook.errors import PluginError
from drillbook.trust import plugins, trust_record
from drillbook.trust.trust_record import Record

FILES = {
    "plugins/ledger/__init__.py": "SYSTEM = None\n",
    "plugins/ledger/actions/__init__.py": "",
    "plugins/ledger/actions/freeze.py": "WORD = 'ice'\n",
    "plugins/ledger/drills/freeze.yml": "drill: freeze\n",
    "plugins/abacus/__init__.py": "",
}
LEFT_OUT = ["plugins/ledger/__pycache__/x.py", "plugins/ledger/.git/config.py", "plugins/ledger/old.pyc"]


def wrote(root, *paths, text="x = 1\n"):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(trust_record.VARIABLE, raising=False)
    folder = tmp_path / "project"
    for path, text in FILES.items():
        wrote(folder, path, text=text)
    return folder


def test_all_files_are_read_but_compiled_and_hidden_ones(root):
    wrote(root, *LEFT_OUT)
    found = plugins.read(root)
    assert {path: data.decode() for path, data in found.files.items()} == FILES
    assert (found.names, found.misplaced, found.skipped) == (["abacus", "ledger"], {}, "")


def test_a_project_without_plugins_needs_no_trust(tmp_path):
    found = plugins.read(tmp_path)
    assert (found.files, found.names, found.doubt) == ({}, [], "")


def test_the_digest_covers_each_path_and_each_byte(root):
    digests = {plugins.read(root).digest}
    for change in (
        lambda: wrote(root, "plugins/ledger/actions/freeze.py", text="WORD = 'icy'\n"),
        (root / "plugins/abacus/__init__.py").unlink,
        lambda: wrote(root, "plugins/data.bin"),
        lambda: (root / "plugins/data.bin").rename(root / "plugins/other.bin"),
    ):
        change()
        digests.add(plugins.read(root).digest)
    assert len(digests) == 5
    wrote(root, *LEFT_OUT)
    assert plugins.read(root).digest in digests


def test_a_link_is_told_and_not_followed(root, tmp_path):
    wrote(tmp_path, "elsewhere/__init__.py")
    (root / "plugins" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "plugins" / "ledger" / "more.py").symlink_to(tmp_path / "elsewhere" / "__init__.py")
    found = plugins.read(root)
    assert found.links == ["plugins/linked", "plugins/ledger/more.py"]
    assert found.skipped == "a link is not followed: plugins/linked, plugins/ledger/more.py"
    assert set(found.files) == set(FILES)
    (root / "plugins").rename(tmp_path / "plugins")
    (root / "plugins").symlink_to(tmp_path / "plugins")
    assert (plugins.read(root).links, plugins.read(root).files) == (["plugins"], {})


def test_a_module_in_no_package_is_misplaced_and_a_file_for_other_programs_is_not(root):
    wrote(
        root,
        "plugins/single.py",
        "plugins/bare/actions.py",
        "plugins/__init__.py",
        "plugins/conftest.py",
        "plugins/notes.txt",
    )
    assert plugins.read(root).misplaced == {
        "plugins/single.py": "plugins/single/__init__.py",
        "plugins/bare": "plugins/bare/__init__.py",
    }


def test_files_that_are_too_large_together_are_refused(root, monkeypatch):
    monkeypatch.setattr(plugins, "LARGEST", sum(map(len, FILES.values())))
    assert len(plugins.read(root).files) == len(FILES)
    wrote(root, "plugins/zero.bin", text="x")
    with pytest.raises(PluginError, match=r"MiB together; the limit was exceeded by "):
        plugins.read(root)


def test_plugins_are_trusted_by_a_record_of_their_own(root):
    found = plugins.read(root)
    assert (found.doubt, found.record()) == ("nobody has trusted them yet", None)
    trust_record.write(root, Record(found.digest, "2026-11-30T12:00:00Z", "ann", {}), plugins.FOLDER)
    assert plugins.read(root).doubt == ""
    assert plugins.read(root).record().by == "ann"
    wrote(root, "plugins/ledger/actions/freeze.py", text="WORD = 'fire'\n")
    assert plugins.read(root).doubt == "they have changed since they were trusted, 2026-11-30T12:00:00Z"


def finder(found, place=""):
    return plugins._finder(found, plugins.SCHEME + place)


def test_exactly_what_was_read_is_imported_whatever_is_on_the_disk_by_then(root):
    found = plugins.read(root)
    wrote(root, "plugins/ledger/actions/freeze.py", text="raise SystemExit\n")
    package = finder(found).find_spec("drillbook_plugins.ledger")
    assert package.submodule_search_locations == [f"{plugins.SCHEME}ledger"]
    spec = finder(found, "ledger/actions").find_spec("drillbook_plugins.ledger.actions.freeze")
    assert spec.origin == str(root / "plugins/ledger/actions/freeze.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.WORD == "ice"
    assert spec.loader.get_source(spec.name) == "WORD = 'ice'\n"
    assert spec.loader.get_data(spec.origin) == b"WORD = 'ice'\n"


def test_nothing_else_is_found(root):
    found = plugins.read(root)
    wrote(root, "plugins/ledger/later.py")
    assert finder(found, "ledger").find_spec("drillbook_plugins.ledger.later") is None
    assert finder(found).find_spec("drillbook_plugins.drills") is None
    with pytest.raises(ImportError):
        plugins._finder(found, str(root / "plugins"))
    loader = finder(found).find_spec("drillbook_plugins.abacus").loader
    with pytest.raises(FileNotFoundError):
        loader.get_data(str(root / "plugins" / "ledger" / "later.py"))


def test_the_modules_of_a_package_are_listed(root):
    found = plugins.read(root)
    assert sorted(finder(found).iter_modules("x.")) == [("x.abacus", True), ("x.ledger", True)]
    assert list(finder(found, "ledger").iter_modules()) == [("actions", True)]
    assert list(finder(found, "ledger/actions").iter_modules()) == [("freeze", False)]
