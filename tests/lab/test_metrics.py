"""Counters of the API, in the text format of Prometheus."""

import json

from drillbook.lab.app.metrics import Metrics

ROUTE = "/documents/{number}"


def counted(*requests):
    metrics = Metrics()
    for status, seconds in requests:
        metrics.observe("GET", ROUTE, status, seconds)
    return metrics


def test_a_bucket_counts_the_requests_up_to_its_limit():
    lines = counted((200, 0.004), (200, 0.1), (503, 7.0)).render({}).splitlines()
    assert f'http_requests_total{{method="GET",route="{ROUTE}",status="200"}} 2' in lines
    assert f'http_requests_total{{method="GET",route="{ROUTE}",status="503"}} 1' in lines
    name = "http_request_duration_seconds"
    for limit, count in (("0.005", 1), ("0.05", 1), ("0.1", 2), ("5.0", 2), ("+Inf", 3)):
        assert f'{name}_bucket{{route="{ROUTE}",le="{limit}"}} {count}' in lines
    assert f'{name}_sum{{route="{ROUTE}"}} 7.104000' in lines
    assert f'{name}_count{{route="{ROUTE}"}} 3' in lines


def test_a_gauge_without_a_value_is_left_out():
    text = Metrics().render({"documents_total": None, "db_pool_waiting": 2})
    assert "# TYPE db_pool_waiting gauge\ndb_pool_waiting 2\n" in text
    assert "documents_total" not in text


def test_the_counters_of_two_processes_add_up():
    total, both = counted((200, 0.004), (503, 0.2)), counted((200, 0.004), (503, 0.2), (200, 0.03))
    total.add(json.loads(json.dumps(counted((200, 0.03)).state())))
    assert total.render({}) == both.render({})
    assert (total.whole() is total, total.workers()) == (True, 1)
