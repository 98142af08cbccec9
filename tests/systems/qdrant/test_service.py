"""The service kind `qdrant`."""

import pytest
from pydantic import ValidationError

from drillbook.systems.qdrant.service import Qdrant


def service(url="http://db-1:6333", collection="chunks"):
    return Qdrant(name="vectors", host="db-1", url=url, collection=collection)


def test_a_collection_is_reserved_by_its_name_and_its_server():
    assert service().lock_name == service(url="http://DB-1:6333/").lock_name
    others = {service(collection="other").lock_name, service(url="http://db-2:6333").lock_name, service().lock_name}
    assert len(others) == 3
    assert service(url="http://db-1:6334").lock_name != service().lock_name


@pytest.mark.parametrize("url", ["db-1:6333", "ftp://db-1", "http://", "http:///collections"])
def test_a_url_of_another_kind_is_refused(url):
    with pytest.raises(ValidationError):
        service(url=url)


def test_a_collection_needs_a_name():
    with pytest.raises(ValidationError):
        service(collection="")
