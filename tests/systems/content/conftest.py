"""Content that commands print, and that a test can change between two readings."""

import json

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.action import find


@pytest.fixture
def shop(ground, tmp_path):
    """File that commands print; a test can change it between the two readings."""

    class Shop:
        file = tmp_path / "content"

        def take(self, ctx=None, **reading):
            reading = reading if "url" in reading else {"command": ["cat", str(self.file)], **reading}
            action = find("content.take").model_validate({"service": "shop", "of": {"orders": reading}})
            return action.run(ctx or ground.ctx("backup.1"))

        def compare(self, facts, ctx=None):
            action = find("content.matches").model_validate({"service": "shop", "manifest": facts["manifest"]})
            return action.run(ctx or ground.ctx("verify.1"))

        def differences(self, before, after, **reading):
            """Measured value of the finding when the output changes; None when the output counts as equal."""
            self.file.write_text(before if isinstance(before, str) else json.dumps(before))
            facts = self.take(**reading)
            self.file.write_text(after if isinstance(after, str) else json.dumps(after))
            try:
                self.compare(facts)
            except StepFailed as failure:
                (found,) = failure.findings
                assert found.code == "content-differs"
                return found.measured
            return None

    return Shop()
