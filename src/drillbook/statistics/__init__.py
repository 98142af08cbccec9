"""Statistics of samples, each figure with its 95 % interval; pure.

Lives here: quantiles, shares, straight lines.
Lives elsewhere: the clocks of a run (`judge`).
"""
