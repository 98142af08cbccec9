"""Plans that a campaign made for a site. The process that drills the site makes its own plans, and compares them with the
plans of the campaign.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from drillbook import __version__
from drillbook.errors import UsageError
from drillbook.findings import Finding, finding
from drillbook.plan.plan import Plan, digest_of

SITE_VARIABLE = "DRILLBOOK_SITE"
"""Environment variable that a campaign sets for the child process of a site. Its value is JSON: the name of the site,
and the plans that the campaign made for the site.
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """Site of a campaign, and the plans that the campaign made for it."""

    site: str
    plans: Mapping[str, str] = field(default_factory=dict)
    """Digests of the plans that the campaign made. The key of each digest is the name of the drill. The value is empty for
    campaigns that recorded no digests.
    """
    version: str = ""
    """Version of Drillbook that planned the campaign."""
    approval: str = ""
    """Path of the approval of the campaign. It is empty when the campaign has no approval."""

    def as_text(self) -> str:
        """Return this object as JSON, for the environment variable ``SITE_VARIABLE``."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Expected:
        """Read the value of the environment variable ``SITE_VARIABLE``. Raises UsageError when the value cannot come from a
        campaign.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise UsageError(f"{SITE_VARIABLE} must be set by a campaign only", hint=f"unset {SITE_VARIABLE}") from None

    def differences(self, plans: Sequence[Plan], root: Path) -> list[Finding]:
        """Return a finding for each plan that differs from the plan of the campaign.

        ``plans``: plans that this process made in the project ``root``.
        """
        here = f"Drillbook {__version__} at {platform.node()}:{root}"
        return [
            finding(
                "campaign-plan-differs",
                title=plan.drill,
                wanted=f"plan {self.plans.get(plan.drill) or 'none'} (Drillbook {self.version})",
                measured=f"{self._asked(plan.drill)}, but {here} made the plan {plan.digest}",
            )
            for plan in plans
            if self.plans and (plan.digest != self.plans.get(plan.drill) or self.version not in ("", __version__))
        ]

    def _asked(self, drill: str) -> str:
        """Return the beginning of a sentence about ``drill`` at this site. It names the plan that the campaign expects. If the
        campaign expects no plan of this drill, the text says so.
        """
        plan = self.plans.get(drill)
        maker = f"made by Drillbook {self.version or 'of an unknown version'}"
        if plan is None:
            return f"the campaign ({maker}) has no plan of the drill {drill} for the site {self.site}"
        return f"the campaign expects the plan {plan} ({maker}) for the site {self.site}"

    def differing(self, plans: Iterable[Mapping[str, Any]]) -> str:
        """Describe the first plan in ``plans`` that differs from the plan of the campaign. The result is empty when no
        plan differs.

        ``plans``: plans from the journals of the site's runs, in JSON form. The runs carried out these plans.
        """
        for plan in plans if self.plans else ():
            drill, own = plan["drill"], digest_of(plan)
            if own != (wanted := self.plans.get(drill)):
                planned = f"the plan {wanted}" if wanted else "no such drill"
                return (
                    f"the run carried out the plan {own} of {drill}, but the campaign has {planned} for the site {self.site}"
                )
        return ""


@cache
def expected() -> Expected | None:
    """Return the site, and its plans, that a campaign passed to this process in an environment variable. Returns None when
    the variable is not set. The function removes the variable from the environment.

    Raises UsageError when the content of the variable cannot come from a campaign.
    """
    given = os.environ.pop(SITE_VARIABLE, "")
    return Expected.of(given) if given else None
