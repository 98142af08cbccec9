"""Time of a backup to an object store by Drillbook beside a bare pipeline with the same checks: `invoke bench.transfers`."""
