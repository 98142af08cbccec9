"""Statistics of samples, each figure with its 95 % interval; pure functions, without input or output.

Lives here: quantiles, shares, straight lines.
Lives elsewhere: the clocks of a run (`judge`).
"""
