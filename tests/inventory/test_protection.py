"""Protected environments: by their name, and by the key `protected`."""

import pytest

from drillbook.inventory import protection


@pytest.mark.parametrize(
    ("environment", "production"),
    [
        ("production", True),
        ("PROD", True),
        ("eu-prod2", True),
        ("prod_eu", True),
        ("reproduction", False),
        ("product", False),
    ],
)
def test_production_is_a_word_of_the_name(environment, production):
    assert protection.is_production(environment) is production


@pytest.mark.parametrize(
    ("environment", "said", "protected", "problem"),
    [
        ("production", None, True, ""),
        ("production", True, True, ""),
        ("production", False, True, "is production, which is always protected"),
        ("lab", None, False, ""),
        ("staging", None, False, ""),
        ("lab", True, True, ""),
        ("warehouse", None, True, "does not show whether drills in this environment need an approval"),
        ("warehouse", False, False, ""),
        ("warehouse", True, True, ""),
    ],
)
def test_an_environment_is_protected_unless_it_is_known_to_be_open(environment, said, protected, problem):
    assert protection.is_protected(environment, said) is protected
    told = protection.problem(environment, said)
    assert told.endswith(problem)
    assert bool(told) is bool(problem)


@pytest.mark.parametrize(
    ("lab", "said", "protected"),
    [("docker", None, False), ("docker", True, True), ("", None, True), ("embedded", None, True), ("", False, False)],
)
def test_the_docker_lab_is_known_by_its_name_and_by_the_kind_of_lab(lab, said, protected):
    assert protection.is_protected("docker-lab", said, lab) is protected
    assert bool(protection.problem("docker-lab", said, lab)) is (said is None and lab != "docker")
