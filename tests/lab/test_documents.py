"""The API's pool of connections to its database."""

from drillbook.lab.layout import Lab
from tests import waiting
from tests.lab.looking import REFUSED, answered, supervisor, until

from .conftest import get, run


def test_the_api_follows_the_database(lab: Lab) -> None:
    supervisor(lab, "db-1", "stop", "postgresql")
    status, body = get(lab, "/health")
    assert (status, body["status"], list(body["failing"])) == (503, "unavailable", ["postgresql"])
    until(503, lab, "/api/v1/documents")  # once its cache has expired
    # long enough for a pool to make its pauses longer
    waiting.nothing_happens_for(7, lambda: answered(lab, "/health") == 200)
    run(lab, "db-1", "nohup supervisorctl -c supervisord.conf start postgresql >/dev/null 2>&1 &")
    until(200, lab, "/health")
    assert until(200, lab, "/api/v1/documents/3") <= REFUSED, "the pool waits for its next attempt"
    until(200, lab, "/api/v1/documents")
