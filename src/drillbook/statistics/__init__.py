"""Statistics of samples. Each figure has a 95 % interval. The functions are pure: they read and write no files.

Lives here: quantiles, shares, straight lines.
Lives elsewhere: the clocks of a run (`judge`).
"""
