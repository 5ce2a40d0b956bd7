"""The composition root: builds the services from settings. Airflow's hook and the command line both call it.

Each service is made when it is first asked for, so that a command needs no more than it uses: `audit verify`
works without a control database, a backup without a private key.
"""

from strongroom.services.archives import ArchiveServices
from strongroom.services.foundations import Conninfo
from strongroom.services.keys import KeyServices
from strongroom.services.retention import RetentionServices
from strongroom.services.rules import RuleServices
from strongroom.services.sweeps import SweepServices


class Services(ArchiveServices, KeyServices, RetentionServices, RuleServices, SweepServices):
    """Everything that a task or a command works with; `Foundations` says what it takes."""


__all__ = ["Conninfo", "Services"]
