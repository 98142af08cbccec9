"""Probe `qdrant.available` with a server."""

from tests.ports import free_ports


def test_the_probe_sees_a_lost_point_a_lost_collection_and_a_dead_server(world):
    from drillbook.systems.qdrant.probes import Available

    wide, narrow = (
        Available.model_validate({"service": "vectors", "timeout": "20s", "every": "1s", **more})
        for more in ({}, {"point": "7"})
    )
    assert (wide.check(world.ctx()), narrow.check(world.ctx())) == (None, None)
    world.delete(7)
    assert wide.check(world.ctx()) is None
    assert narrow.check(world.ctx()).startswith("status 404")
    assert wide.check(world.ctx(collection="other")).startswith("status 404")
    assert "refused" in wide.check(world.ctx(url=f"http://127.0.0.1:{free_ports(1)[0]}"))
