"""The record of a campaign: its journal on disk, and the state that follows from it."""

import json

import pytest

from drillbook.campaign import campaign_record
from drillbook.campaign.attempt import Ending
from drillbook.campaign.scheduler import SiteState
from drillbook.errors import JournalError, UnknownName
from drillbook.events.campaigns import CampaignFinished, CampaignResumed, CampaignStarted, CampaignStopped, SiteIntended
from drillbook.events.runs import PhaseStarted

START = CampaignStarted(
    campaign="20261130-sample-1",
    drill="sample",
    suite=False,
    rules={"at_most": 3},
    sites=(
        {"name": "s0", "path": "one.yml", "groups": ["north"], "plans": {"sample": "sha256:x"}},
        {"name": "s1", "path": "two.yml"},
    ),
    operator="ann",
    executor="processes",
    place="0-1@here:/srv",
    approval="sha256:first",
)


@pytest.fixture
def folder(tmp_path):
    made = campaign_record.folder_of(tmp_path, "20261130-sample-1")
    made.mkdir(parents=True)
    return made


def written(folder, *contents):
    journal = campaign_record.create(folder)
    for what in contents:
        journal.append(what)
    journal.close()
    return folder


def test_a_campaign_is_what_its_journal_says(folder):
    ending = Ending("s0", SiteState.FAILED, run="r0", verdict="failed", residue=1, head="sha256:h", message="why")
    written(folder, START, SiteIntended(site="s0", run="r0", place="0-1@here:/srv"), campaign_record.event_of(ending))
    journal = campaign_record.resume(folder)
    journal.append(CampaignResumed(operator="bob", executor="dask at x", place="0-2@there:/srv"))
    journal.append(SiteIntended(site="s1", run="r1"))
    journal.append(CampaignStopped(why="first"))
    journal.append(CampaignStopped(why="second"))
    journal.close()
    events = campaign_record.read(folder)
    state = campaign_record.fold(events)
    assert state.ends == {"s0": ending}
    assert {site: (intent.run, intent.hash) for site, intent in state.open.items()} == {"s1": ("r1", events[4].hash)}
    assert state.controllers == [("processes", "0-1@here:/srv"), ("dask at x", "0-2@there:/srv")]
    assert (state.stopped, state.finished, state.approval) == ("first", None, "sha256:first")


def test_the_sites_file_is_rebuilt_from_the_first_event(folder):
    state = campaign_record.fold(campaign_record.read(written(folder, START)))
    assert state.file.at_most == 3
    assert state.file.sites["s0"].groups == ("north",)
    assert state.inventories == {"s0": "one.yml", "s1": "two.yml"}
    assert state.plans == {"s0": {"sample": "sha256:x"}, "s1": {}}


def test_a_renewed_approval_takes_the_place_of_the_first(folder):
    resumed = CampaignResumed(operator="bob", approval="sha256:second")
    assert campaign_record.fold(campaign_record.read(written(folder, START, resumed))).approval == "sha256:second"


def test_the_end_of_a_campaign_is_recorded(folder):
    state = campaign_record.fold(
        campaign_record.read(written(folder, START, CampaignFinished(sites={"passed": 2}, state="passed", exit=0)))
    )
    assert (state.finished.exit, state.ended_at[:2]) == (0, "20")


def test_a_journal_of_something_else_is_refused(folder):
    with pytest.raises(JournalError, match="contains no event"):
        campaign_record.fold(())
    events = campaign_record.read(written(folder, PhaseStarted(phase="inject")))
    with pytest.raises(JournalError, match=r"begins with the event 'phase\.started', not with campaign\.started"):
        campaign_record.fold(events)


def test_a_campaign_is_created_once_and_run_by_one_process(folder):
    journal = campaign_record.create(folder)
    try:
        journal.append(START)
        with pytest.raises(JournalError, match="cannot be created: File exists; nothing was touched"):
            campaign_record.create(folder)
        with pytest.raises(JournalError):
            campaign_record.resume(folder)
        assert campaign_record.unfinished(folder.parents[1]) == [], "a process runs it"
    finally:
        journal.close()
    assert campaign_record.unfinished(folder.parents[1]) == [folder]


def campaign(reports, name, result=None):
    folder = campaign_record.folder_of(reports, name)
    folder.mkdir(parents=True)
    written(folder, START)
    if result is not None:
        (folder / "result.json").write_text(result if isinstance(result, str) else json.dumps(result))
    return folder


def test_campaigns_without_their_end_are_unfinished(tmp_path):
    campaign(tmp_path, "1-a", {"finished": True})
    campaign(tmp_path, "2-a", {"without_end": 0})
    open_ones = [
        campaign(tmp_path, "3-a", {"finished": False}),
        campaign(tmp_path, "4-a", {"without_end": 2}),
        campaign(tmp_path, "5-a", "no JSON"),
        campaign(tmp_path, "6-a"),
    ]
    campaign(tmp_path, ".7-a")
    assert campaign_record.unfinished(tmp_path) == open_ones


def test_a_campaign_is_found_by_its_name_or_by_its_drill(tmp_path):
    names = ["20261129T120000.000Z-sample-aaaa", "20261130T120000.000Z-other-bbbb", "20261130T130000.000Z-sample-cccc"]
    with pytest.raises(UnknownName, match=r"there is no campaign in .* yet"):
        campaign_record.find(tmp_path, "")
    folders = [campaign(tmp_path, name) for name in names]
    assert campaign_record.find(tmp_path, "") == folders[2]
    assert campaign_record.find(tmp_path, "sample") == folders[2]
    assert campaign_record.find(tmp_path, "other") == folders[1]
    assert campaign_record.find(tmp_path, names[0]) == folders[0]
    assert campaign_record.find(tmp_path, "20261129") == folders[0]
    with pytest.raises(UnknownName, match="there is no campaign 'none'") as failure:
        campaign_record.find(tmp_path, "none")
    assert failure.value.hint == f"the newest are: {', '.join(reversed(names))}"
