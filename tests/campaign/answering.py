"""A client of Dask whose workers give the answers of a test."""

import asyncio

from drillbook import __version__
from drillbook.campaign.attempt import Job
from tests.needs import library

library("distributed")

from drillbook.campaign import worker  # noqa: E402  need the library

JOB = Job("c", "s0", "run-s0", "d", suite=False, inventory="i", root="")


class Tells:
    """Client of a cluster whose workers give answers, by their addresses. The answer None never comes."""

    status = "running"

    def __init__(self, said, listens=None, nannies=None):
        self.said, self.listens, self.nannies, self.scheduler = said, listens or {}, nannies or {}, self
        self.asked = []

    async def identity(self, **_):
        return {
            "workers": {
                address: {"resources": {}, "nthreads": 2, "nanny": self.nannies.get(address)} for address in self.said
            }
        }

    def sync(self, function, *, callback_timeout):
        return asyncio.run(asyncio.wait_for(function(), callback_timeout))

    async def run(self, answer, function, *values, workers, nanny):
        assert answer is worker.answer
        (address,) = workers
        self.asked.append((address, function.__name__))
        if function is worker.listens:
            listening = self.nannies[address] if nanny else self.listens.get(address, address)
            return {address: worker.Answer([listening])}
        if self.said[address] is None:
            await asyncio.Event().wait()
        if isinstance(self.said[address], Exception):
            raise self.said[address]
        return {address: worker.Answer(self.said[address])}

    def close(self, timeout):
        pass


OWN = {"name": "0-1@vm:/srv", "version": __version__, "root": "/srv", "disk": "boot-1:64"}
