"""Trial server: what it needs, and files that it cannot load."""

from dataclasses import replace

import pytest

from drillbook.errors import StepFailed
from tests.systems.ground import Instead, is_root
from tests.systems.postgres.site import BUCKET
from tests.systems.redis.cache import codes, flipped, forged
from tests.systems.refusals import refused_until


def test_a_file_that_no_server_loads_is_no_backup(place, cache, saved):
    location = forged(place, saved, flipped)
    with pytest.raises(StepFailed, match="cannot load") as failure:
        cache.run("redis.backup_intact", **{"from": location})
    assert codes(failure) == {"restore-errors"}
    assert cache.strays() == []


@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_data_that_the_owner_of_the_service_cannot_read_are_told(cache):
    changes, save, ctx = [{"run_as": "nobody"}, {}], cache.action("redis.save", to=f"s3://{BUCKET}/new"), cache.context()

    def check():
        service = cache.service.model_copy(update=changes[0])
        save.ready(replace(ctx, services=ctx.services | {"cache": service}))

    refused_until(check, "db-1: the data in .* cannot be read", lambda: changes.pop(0))


@pytest.mark.skipif(not is_root(), reason="only root can hide a file of the kernel")
def test_memory_for_the_trial_server_is_needed(cache, tmp_path):
    hosts = [Instead(cache.host, tmp_path, "/proc/meminfo", "MemAvailable:  1 kB\n"), cache.host]
    save, ctx = cache.action("redis.save", to=f"s3://{BUCKET}/new"), cache.context()
    said = "db-1 has 0 MiB of free memory, but cache uses"
    refused_until(lambda: save.ready(replace(ctx, host=hosts[0])), said, lambda: hosts.pop(0))
