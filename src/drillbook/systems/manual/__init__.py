"""Steps that ask a person for confirmation. They use no other package of `systems`.

Lives here: the actions `manual.*`.
Lives elsewhere: the identity of the person who answers (`signing.account`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, actions={"manual": ".actions"})
