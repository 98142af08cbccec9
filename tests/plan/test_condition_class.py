"""Conditions of a guard: an availability probe or an action that only reads, found by its name and its keys."""

import pytest

from drillbook.errors import PlanError, SpecError
from tests.plan.test_guard import made


def test_of_an_action_and_a_probe_with_one_name_the_words_choose(tmp_path):
    looks = "{tcp.open: {address: 127.0.0.1, port: 80}%s}"
    one = made(tmp_path, f"{{abort_if: [{looks % ''}, {looks % ', timeout: 2s'}]}}")
    assert [bool(condition.probe) for condition in one.guard.conditions] == [True, False]


@pytest.mark.parametrize(
    ("condition", "error", "told"),
    [
        ("{service.kill: {service: api}}", PlanError, "service.kill makes changes"),
        ('{command.run: {argv: ["true"], effect: write}, hosts: [app-1]}', PlanError, "makes changes"),
        ('{command.run: {argv: ["{{ said.stdout }}"], effect: read}, hosts: [app-1]}', PlanError, "'said' has no value yet"),
        ("{service.status: {service: apy}}", PlanError, "no service 'apy'"),
        ("{service.statsu: {service: api}}", SpecError, "no action or probe 'service.statsu'"),
        ("{postgres.canary: {service: database}}", SpecError, "a condition must be read-only"),
        ('{http.available: {url: "http://x"}, expect: "result.x"}', SpecError, "the key 'expect' is only for actions"),
        ("{service.status: {service: api}, allow_failure: never}", SpecError, "unknown keyword 'allow_failure'"),
        ("{service.status: {service: api}, every: 10ms}", SpecError, "every"),
        ("{service.status: {service: api}, tries: 0}", SpecError, "tries"),
    ],
)
def test_a_condition_only_looks(tmp_path, condition, error, told):
    with pytest.raises(error) as caught:
        made(tmp_path, f"{{abort_if: [{condition}]}}")
    assert told in caught.value.message
    assert caught.value.where.line == 4
