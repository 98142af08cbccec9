from __future__ import annotations

import re
from pathlib import Path

import pytest

from drillbook.inventory.protection import DOCKER_LAB, LAB, is_protected
from drillbook.plan.permitted import named, only_in, permits

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environments", "words"),
    [
        ((), "may run in no environment"),
        (("staging",), "may run only in staging"),
        (("staging", "test"), "may run only in staging or test"),
        (("staging", "test", "lab"), "may run only in staging, test or lab"),
    ],
)
def test_the_permitted_environments_are_alternatives(environments: tuple[str, ...], words: str) -> None:
    assert only_in(environments) == words


@pytest.mark.parametrize(
    ("environments", "environment", "permitted"),
    [
        (("staging",), "staging", True),
        (("lab", "staging"), "docker-lab", True),
        (("staging",), "docker-lab", False),
        (("docker-lab",), "docker-lab", True),
        (("docker-lab",), "lab", False),
        (("lab",), "lab2", False),
        ((), "docker-lab", False),
    ],
)
def test_a_guard_that_permits_the_embedded_lab_also_permits_the_docker_lab(
    environments: tuple[str, ...], environment: str, permitted: bool
) -> None:
    assert permits(environments, environment) is permitted


@pytest.mark.parametrize(
    ("environments", "lab", "permitted"),
    [(("lab",), "docker", True), (("lab",), "embedded", False), (("lab",), "", False), (("docker-lab",), "", True)],
)
def test_real_hosts_with_the_name_of_the_docker_lab_need_this_name_in_the_guard(
    environments: tuple[str, ...], lab: str, permitted: bool
) -> None:
    assert permits(environments, "docker-lab", lab) is permitted


@pytest.mark.parametrize(
    ("environments", "place", "words"),
    [
        (("lab", "staging"), ("docker-lab", "docker"), ("lab (and docker-lab, the lab in containers)", "staging")),
        (("lab", "docker-lab"), ("docker-lab", "docker"), ("lab", "docker-lab")),
        (("lab",), ("docker-lab", ""), ("lab",)),
        (("lab",), ("lab", "embedded"), ("lab",)),
    ],
)
def test_a_text_about_the_docker_lab_says_why_it_is_permitted(
    environments: tuple[str, ...], place: tuple[str, str], words: tuple[str, ...]
) -> None:
    assert named(environments, *place) == words


def test_the_two_labs_are_two_environments() -> None:
    """Figures of the embedded lab are never compared with those of the Docker lab."""
    texts = [(ROOT / "inventory" / f"{name}.yml").read_text(encoding="utf-8") for name in ("lab", "docker")]
    assert [re.findall(r"^environment: (\S+)$", text, re.MULTILINE) for text in texts] == [[LAB], [DOCKER_LAB]]
    assert "\nlab: docker" in texts[1]
    assert not is_protected(DOCKER_LAB, None, "docker")
