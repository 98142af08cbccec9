"""Time of a restore by Drillbook beside that of the bare tool, and the memory of its controller: `invoke bench.overhead`."""
