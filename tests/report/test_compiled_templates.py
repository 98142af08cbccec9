"""Cache of compiled templates: used while it is current, rebuilt after changes, and never the cause of an error."""

import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from drillbook.report.compiled_templates import CompiledTemplates, cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    (tmp_path / "filters.py").write_text("one = 1\n")
    (tmp_path / "page.j2").write_text("first {{ 1 + 1 }}")
    return tmp_path


def rendered(folder, *, may_compile=True):
    class Watched(Environment):
        def compile(self, source, name=None, filename=None, **options):
            assert may_compile, "the template was compiled again"
            return super().compile(source, name, filename, **options)

    env = Watched(loader=FileSystemLoader(folder), bytecode_cache=CompiledTemplates([str(folder / "filters.py")]))
    return env.get_template("page.j2").render()


def kept(folder):
    """Files next to the compiled form of the module `filters.py`."""
    place = Path(cache_from_source(str(folder / "filters.py"))).parent
    return list(place.iterdir()) if place.is_dir() else []


def test_a_template_is_compiled_once(folder):
    assert rendered(folder) == "first 2"
    assert rendered(folder, may_compile=False) == "first 2"
    assert [path.suffix for path in kept(folder)] == [".cache"], "no temporary file is left"


@pytest.mark.parametrize(
    ("name", "text", "wanted"), [("page.j2", "second", "second"), ("filters.py", "two = 2\n", "first 2")]
)
def test_a_change_of_the_template_or_of_a_module_compiles_it_again(folder, name, text, wanted):
    rendered(folder)
    (folder / name).write_text(text)
    with pytest.raises(AssertionError, match="compiled again"):
        rendered(folder, may_compile=False)
    assert rendered(folder) == wanted


def test_a_damaged_file_is_not_used(folder):
    rendered(folder)
    (file,) = kept(folder)
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"\x80" + whole[1:], whole[:20] + b"\xff" * 20):
        file.write_bytes(damaged)
        assert rendered(folder) == "first 2"


def test_nothing_is_written_when_python_must_not_write_compiled_files(folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert rendered(folder) == "first 2"
    assert not kept(folder)


def test_a_folder_that_cannot_be_written_is_left_alone(folder):
    (folder / "__pycache__").write_text("a file in the place of the folder")
    assert rendered(folder) == "first 2"


def test_modules_in_an_archive_have_no_cache(folder):
    assert cache([str(folder / "filters.py")]) is not None
    assert cache([str(folder / "all.zip" / "filters.py")]) is None
