"""Programs of PostgreSQL on the host of a service: their socket, their disk, and the password that they read."""

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Target
from drillbook.systems.postgres.programs import Tools, passfile
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import USER_PASSWORD, secret
from tests.systems.refusals import refused_until

place, target = fixtures.place, fixtures.target


def test_a_relay_whose_socket_would_have_a_long_path_is_told_before(place, target):
    """The superuser logs in by peer authentication, and another user runs the programs."""
    host = LocalHost("db-1", target=Target(name="db-1", local=True, scratch="/tmp"))
    admin = target.service.admin.model_copy(update={"socket": "/tmp"})
    service, runs = target.service.model_copy(update={"admin": admin, "run_as": "nobody"}), ["r" * 90, "r"]
    refused_until(
        lambda: Tools.of(place.context(run=runs[0]), service, host).need(("pg_dump",), 1),
        "the path of a Unix socket in /tmp/.* would be longer than",
        lambda: runs.pop(0),
    )


def test_a_disk_without_the_space_is_told_before(place, target):
    tools, wanted = Tools.of(place.context(), target.service, place.host), [1 << 60, 1]
    said = "MiB free, but 1099511627776 MiB are needed"
    refused_until(lambda: tools.need_space(str(target.data.parent), wanted[0]), said, lambda: wanted.pop(0))


def test_a_passfile_holds_the_password_of_the_asked_role_and_escapes_it(place, target):
    admin = target.service.admin.model_copy(update={"password": secret("a:b\\c", "TEST_ODD_PASSWORD")})
    service = target.service.model_copy(update={"admin": admin})
    assert passfile(service) == b"*:*:*:*:a\\:b\\\\c\n"
    assert passfile(service, as_user=True) == f"*:*:*:*:{USER_PASSWORD}\n".encode()
    peer = service.model_copy(update={"admin": admin.model_copy(update={"password": None})})
    assert passfile(peer) == b"*:*:*:*:\n"


def test_a_password_that_no_passfile_can_hold_is_told(place, target):
    admin = target.service.admin.model_copy(update={"password": secret("two\nlines", "TEST_LONG_PASSWORD")})
    with pytest.raises(CouldNotVerify, match="contains a line break") as told:
        passfile(target.service.model_copy(update={"admin": admin}))
    assert "two" not in told.value.message
