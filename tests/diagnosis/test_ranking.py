"""Ranking of causes: by the weight of what was seen for and against them, never by what a target prints as an expression."""

from drillbook.diagnosis.ranking import Seen, Suspect, order
from tests.diagnosis.test_trees import DEAD, MEMINFO, TREE, Site
from tests.diagnosis.test_trees import site as site


def test_the_likeliest_cause_comes_first_with_what_was_seen(site):
    site.unit("app", DEAD)
    site.hosts["app"].on(("cat", "/proc/meminfo"), MEMINFO.format(free=20))
    site.hosts["app"].on(("sh",), "")
    found = site.look("api")
    assert [(one.cause, one.score) for one in found.ranked] == [("memory-leak", 9), ("api-down", 3)]
    first, second = found.ranked
    assert first.supports[0].says == "98.0 % are used"
    assert first.remedy == "{{ unit.word }} after {{ memory.nothing }}", "what cannot be evaluated is said as written"
    assert second.title == "api does not run"
    assert second.step == {"service.start": {"service": "api"}}


def test_what_speaks_against_a_cause_counts(site):
    site.unit("app", "LoadState=loaded\nActiveState=failed\nSubState=failed\nMainPID=0\n")
    site.hosts["app"].on(("cat", "/proc/meminfo"), MEMINFO.format(free=900))
    site.hosts["app"].on(("sh",), "")
    found = site.look("api")
    assert [(one.cause, one.score, [seen.says for seen in one.against]) for one in found.ranked] == [
        ("api-down", 2, ["it has failed"])
    ]


def test_what_a_target_says_never_becomes_an_expression(site):
    text = TREE.replace(
        'step: {service.start: {service: "{{ service.name }}"}}', 'step: {service.start: {service: "{{ unit.word }}"}}'
    )
    made = Site(site.folder, text)
    made.unit("app", "LoadState=loaded\nActiveState=inactive\nSubState={{ 7 * 7 }}\nMainPID=0\n")
    one = next(one for one in made.look("api").ranked if one.cause == "api-down")
    assert "49" not in one.supports[0].says
    assert "{{ 7 * 7 }}" in one.supports[0].says
    assert one.step is None, "a remedy whose values could be expressions is refused"


def suspect(cause, service, score):
    return Suspect(
        cause=cause,
        title=cause,
        impact="unavailable",
        subject=service,
        service=service,
        score=score,
        supports=(Seen(says="seen", weight=score),),
        against=(),
        unseen=(),
        remedy="",
        contacts=(),
        step=None,
    )


def test_of_one_cause_of_a_service_only_the_strongest_is_kept_and_equal_ones_keep_their_order():
    found = [suspect("disk", "a", 2), suspect("memory", "a", 5), suspect("disk", "b", 2), suspect("disk", "a", 4)]
    assert [(one.cause, one.service, one.score) for one in order(found)] == [
        ("memory", "a", 5),
        ("disk", "a", 4),
        ("disk", "b", 2),
    ]
