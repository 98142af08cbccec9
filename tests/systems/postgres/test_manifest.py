"""Manifests of dumps."""

import pytest

from drillbook.systems.postgres import manifest


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "a//b", "a b", "", "-rf", "a/-b", ".."])
def test_names_that_lead_elsewhere(name):
    with pytest.raises(ValueError):
        manifest.Manifest.model_validate({"files": {name: {"size": 1, "sha256": "0" * 64}}})
    from pydantic import TypeAdapter

    with pytest.raises(ValueError):
        TypeAdapter(manifest.Manifest.model_fields["files"].annotation).validate_python(
            {name: {"size": 1, "sha256": "0" * 64}}
        )
