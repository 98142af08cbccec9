"""Time of a backup to an object store by Drillbook compared with a plain pipeline with the same checks: `invoke
bench.transfers`.
"""
