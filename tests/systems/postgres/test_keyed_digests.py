"""Keyed digests of secrets: comparable within one backup, and in no other."""

from drillbook.systems.postgres.keyed_digests import Sealing, is_sealed


def test_equal_secrets_have_equal_digests_in_one_backup_only():
    one, other = Sealing.fresh(), Sealing.fresh()
    assert one.seal("hunter2") == Sealing(one.salt).seal("hunter2")
    assert one.seal("hunter2") != one.seal("hunter3")
    assert one.seal("hunter2") != other.seal("hunter2")
    assert one.seal(None) is None
    assert is_sealed(one.seal("k\udce9y"))
    assert not is_sealed("sealed")
    assert not is_sealed({"sealed": "x", "more": "y"})


def test_only_settings_that_may_be_secret_are_sealed():
    sealing = Sealing.fresh()
    settings = sealing.settings(
        [
            "app.jwt_secret=hunter2",
            "primary_conninfo=host=far password=hunter2",
            "archive_command=copy --token hunter2 %p",
            "password_encryption=md5",
            "search_path=a=b",
            "drillbook.connection_limit=40",
        ]
    )
    assert "hunter2" not in str(settings)
    assert [name for name, value in settings.items() if is_sealed(value)] == [
        "app.jwt_secret",
        "primary_conninfo",
        "archive_command",
    ]
    assert (settings["password_encryption"], settings["search_path"]) == ("md5", "a=b")
    assert "drillbook.connection_limit" not in settings
    assert sealing.settings(None) == {}
