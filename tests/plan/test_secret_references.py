"""References to secrets in parameters are found at their places, with what is whole and what is a part of a text."""

import pytest

from drillbook.plan.secret_references import secretive
from drillbook.values import SecretName

SERVICES = {"db": {"password": SecretName("services.db.password"), "user": "app"}}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("{{ services.db.password }}", [(("params",), "services.db.password", True)]),
        ("Bearer {{ services.db.password }}", [(("params",), "services.db.password", False)]),
        ("{{ services['db'].password }}", [(("params",), "services.db.password", False)]),
        ("{{ services.db.user }}", []),
        ("services.db.password", []),
        ("{{ services.db.password", []),
        ("{{ services.other.password }}", []),
        ({"env": {"P": "{{ services.db.password }}"}}, [(("params", "env", "P"), "services.db.password", True)]),
        (["x", "{{ services.db.password }}"], [(("params", 1), "services.db.password", True)]),
        (7, []),
    ],
)
def test_a_reference_to_a_secret_is_found_at_its_place(value, found):
    assert list(secretive(value, ("params",), SERVICES)) == found
