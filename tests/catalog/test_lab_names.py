"""Names of a lab that shipped drills use."""

from drillbook.catalog import entries, lab_names


def test_services_hosts_contacts_and_environments_of_a_drill():
    found = lab_names.of(entries.find("rehearse-database"))
    assert found.services == {"database", "database_copy", "database_dumps", "copy_api"}
    assert (found.hosts, found.contacts, found.environments) == ({"primary"}, {"dba"}, (("lab", "staging"),))
    volume = lab_names.of(entries.find("rehearse-volume"))
    assert {"api_files_copy", "volume_archives"} <= volume.services, "of the Docker lab"


def test_a_suite_uses_the_names_of_all_its_drills():
    suite = entries.find("rehearsal")
    found = lab_names.of(suite)
    assert len(found.environments) == len(suite.drills)
    assert all(lab_names.of(entries.find(name)).services <= found.services for name in suite.drills)
    assert lab_names.of(entries.find("docker-lab")) == lab_names.LabNames()
