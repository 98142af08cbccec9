"""Expected differences need a reason."""

import pytest
from pydantic import TypeAdapter, ValidationError

from drillbook.sdk.expected_differences import Reasons

ADAPTER = TypeAdapter(Reasons)


def test_a_difference_needs_a_reason():
    assert ADAPTER.validate_python({"orders": "changes daily"}) == {"orders": "changes daily"}
    with pytest.raises(ValidationError, match="orders needs a reason"):
        ADAPTER.validate_python({"orders": " "})
