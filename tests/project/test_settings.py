"""Settings of a project: defaults without a file, the position of each mistake, and a secret from the environment."""

import pytest

from drillbook.errors import InventoryError, SecretError
from drillbook.project import settings


def test_without_a_file_the_settings_are_the_defaults(tmp_path):
    assert settings.load(tmp_path) == settings.Settings()
    assert settings.mistakes(tmp_path) == ()


def test_every_mistake_is_reported_with_its_position(tmp_path):
    (tmp_path / settings.FILE).write_text("metricz: x\nmetrics: 5\nheartbeat: !command [date]\n")
    told = settings.mistakes(tmp_path)
    assert [line.partition(" ")[0] for line in told] == ["drillbook.yml:3:12:", "drillbook.yml:1:1:", "drillbook.yml:2:10:"]
    with pytest.raises(InventoryError):
        settings.load(tmp_path)


def test_the_heartbeat_is_read_only_when_it_is_used(tmp_path, monkeypatch):
    (tmp_path / settings.FILE).write_text("heartbeat: !env HEARTBEAT\n")
    monkeypatch.delenv("HEARTBEAT", raising=False)
    assert settings.load(tmp_path).heartbeat is not None
    with pytest.raises(SecretError, match=r"heartbeat of drillbook.yml: .*HEARTBEAT"):
        settings.usable(tmp_path)
    monkeypatch.setenv("HEARTBEAT", "http://127.0.0.1/beat")
    assert settings.usable(tmp_path).heartbeat.reveal() == "http://127.0.0.1/beat"
