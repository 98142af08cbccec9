"""Statistics of samples. Each figure has a 95 % interval. The functions are pure: they have no input or output.

Lives here: quantiles, shares, straight lines.
Lives elsewhere: the clocks of a run (`judge`).
"""
