"""Test by the author of the plugin, run where the distribution is installed: the system fulfils the contract."""

from drillbook_ledger import SYSTEM

from drillbook.sdk.contract import problems


def test_the_system_holds_the_contract():
    assert problems(SYSTEM) == []
