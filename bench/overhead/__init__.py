"""Time of a restore by Drillbook compared with the plain tool, and the memory of its controller: `invoke
bench.overhead`.
"""
