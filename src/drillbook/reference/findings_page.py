"""Page of the reference about findings: the text above its table."""

from __future__ import annotations

from drillbook.report.open_findings import MEASURED_NOTHING

HEAD = f"""\
A finding describes one problem. Its code stays the same in all versions. A report may show another severity than `result.json` has:

- `acknowledged-writes-lost` is only information if the measured RPO is within its objective.
- If the controller of the run died, and a recovery then undid all changes,
  {", ".join(f"`{code}`" for code in MEASURED_NOTHING[:-1])} and `{MEASURED_NOTHING[-1]}` are medium, as the end of a run that a
  person stopped: they only say that the drill must run again.

Among findings of the same severity, those about lost data come first."""
