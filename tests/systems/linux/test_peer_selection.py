"""Arguments that select the peer of a network path."""

import pytest
from pydantic import ValidationError

from drillbook.systems.linux.actions.net import Filters, Route

ADDRESS, PORT = {"address": "192.0.2.1"}, {"port": 80}


@pytest.mark.parametrize("action", [Route, Filters])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "no peer is selected: set `to`, or set `address` and `port`"),
        (ADDRESS, "`address` needs `port`"),
        (PORT, "`port` needs `address`"),
        ({"to": "shop", **ADDRESS}, "both `to` and `address` are set: set either `to`, or `address` and `port`"),
        ({"to": "shop", **PORT}, "both `to` and `port` are set: set either `to`, or `address` and `port`"),
        (
            {"to": "shop", **ADDRESS, **PORT},
            "both `to` and `address` and `port` are set: set either `to`, or `address` and `port`",
        ),
    ],
)
def test_each_wrong_combination_has_a_message_of_its_own(action, arguments, said):
    with pytest.raises(ValidationError) as refused:
        action.model_validate(arguments)
    assert [error["msg"] for error in refused.value.errors()] == [f"Value error, {said}"]


@pytest.mark.parametrize("action", [Route, Filters])
@pytest.mark.parametrize("arguments", [{"to": "shop"}, {**ADDRESS, **PORT}])
def test_a_service_or_an_address_with_a_port_selects_the_peer(action, arguments):
    assert action.model_validate(arguments).model_dump(exclude_none=True).items() >= arguments.items()
