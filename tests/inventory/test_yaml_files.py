"""The key `include`: inventory files that are read before the file that names them."""

import pytest

from drillbook.errors import InventoryError
from drillbook.inventory import inventory
from drillbook.inventory.sources.yaml_files import MOST


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text)
    return folder / f"{next(iter(texts))}.yml"


def refused(path):
    with pytest.raises(InventoryError) as caught:
        inventory.load(path)
    return caught.value.message, caught.value.where.file.rpartition("/")[2], caught.value.where.line


def test_the_including_file_has_precedence_and_a_later_file_over_an_earlier(tmp_path):
    (tmp_path / "more").mkdir()
    write(tmp_path / "more", base="hosts: {a: {port: 1}, b: {port: 1}, c: {port: 1}}\n")
    write(tmp_path, later="hosts: {b: {port: 2}, c: {port: 2}}\n")
    top = write(tmp_path, top="environment: lab\ninclude: [more/base.yml, later.yml]\nhosts: {c: {port: 3}}\n")
    assert {name: host.port for name, host in inventory.load(top).hosts.items()} == {"a": 1, "b": 2, "c": 3}


def test_a_file_is_included_relative_to_the_file_that_names_it(tmp_path):
    (tmp_path / "more").mkdir()
    write(tmp_path / "more", base="include: beside.yml\n", beside="hosts: {a: {}}\n")
    top = write(tmp_path, top="environment: lab\ninclude: more/base.yml\n")
    assert list(inventory.load(top).hosts) == ["a"]


def test_a_ring_of_files_is_refused_where_it_closes(tmp_path):
    top = write(tmp_path, top="environment: lab\ninclude: [below.yml]\n", below="hosts: {}\ninclude: [top.yml]\n")
    assert refused(top) == ("the file top.yml includes itself", "below.yml", 2)


@pytest.mark.parametrize("name", ["gone.yml", ".", "x" * 300])
def test_what_is_no_file_cannot_be_included(tmp_path, name):
    top = write(tmp_path, top=f"environment: lab\ninclude: [{name}]\n")
    message, file, line = refused(top)
    assert message.startswith(f"the included file {tmp_path}")
    assert (message.endswith(" does not exist"), file, line) == (True, "top.yml", 2)


@pytest.mark.parametrize("value", ["7", "[a.yml, '']", "{a: b}"])
def test_the_key_takes_a_path_or_a_list_of_paths(tmp_path, value):
    top = write(tmp_path, top=f"environment: lab\ninclude: {value}\n")
    assert refused(top) == ("`include` must be a path or a list of paths", "top.yml", 2)


def test_more_files_than_the_limit_are_refused(tmp_path):
    write(tmp_path, empty="hosts: {}\n")
    top = write(tmp_path, top=f"environment: lab\ninclude: [{', '.join(['empty.yml'] * (MOST + 1))}]\n")
    assert refused(top)[0] == f"more than {MOST} files are included; {MOST} is the limit"
