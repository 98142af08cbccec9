"""Parts of arguments that systems declare as different in every run: rules of sudo allow all of their values."""

from drillbook.hosts.sudoers import pattern
from drillbook.sdk import discovery
from drillbook.sdk.declaration import System
from drillbook.sdk.varying_arguments import declared


def test_a_built_in_system_declares_its_parts():
    assert pattern("--snapshot=00000003-0000001B-1") == r"--snapshot\=" + f"{8 * '[0-9A-F]'}-{8 * '[0-9A-F]'}-[0-9]"
    assert [each.allowed for each in declared() if each.pattern.search("pg_dump --snapshot=00000003-0000001B-1 shop")]


def test_rules_of_sudo_allow_the_parts_of_a_system_from_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "tickets").mkdir()
    (tmp_path / "tickets" / "__init__.py").write_text('"""A plugin."""\n')
    (tmp_path / "tickets" / "varying_arguments.py").write_text(
        "import re\n\nfrom drillbook.sdk.varying_arguments import VaryingArgument\n\n"
        "VARYING_ARGUMENTS = {'ticket': VaryingArgument(re.compile('(?<=--ticket=)[0-9]{3}'), '[0-9][0-9][0-9]')}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert pattern("--ticket=123") == r"--ticket\=123"
    with discovery.registered(System("tickets", varying_arguments=".varying_arguments")):
        assert pattern("--ticket=123") == pattern("--ticket=456") == r"--ticket\=[0-9][0-9][0-9]"
    assert pattern("--ticket=123") == r"--ticket\=123"
