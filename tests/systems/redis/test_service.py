"""The service kind `redis`."""

from drillbook.systems.redis.service import Redis


def service(**changes):
    return Redis(name="cache", host="db-1", **changes)


def test_a_server_is_reserved_by_its_port():
    assert service().lock_name == "redis-6379"
    assert service(port=7000).lock_name == "redis-7000"


def test_an_address_that_is_a_path_is_a_socket():
    assert (service().socket, service().listens) == ("", ("127.0.0.1", 6379))
    own = service(address="/run/redis.sock")
    assert (own.socket, own.listens) == ("/run/redis.sock", None)


def test_a_server_in_a_sandbox_has_its_socket_and_its_files_there():
    fields = Redis.fields_in_sandbox("/box")
    assert fields == {"address": "/box/redis.sock", "data_directory": "/box/data"}
    assert service(**fields).data == "/box/data"


def test_the_data_folder_has_no_slash_at_its_end():
    assert (service().data, service(data_directory="/srv/data/").data) == ("", "/srv/data")
