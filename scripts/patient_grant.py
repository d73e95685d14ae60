"""A patient lets somebody read: one transaction, whatever the number of records.

brownie run patient_grant main GRANTEE laboratory,medications TREAT 30d [KEY]
"""

from __future__ import annotations

from medibridge.chain.events import Granted
from medibridge.cli.amounts import moment, seconds_in
from medibridge.cli.arguments import classes_in, purposes_in
from scripts.opened import opened


def main(
    grantee: str, classes: str = "laboratory", purposes: str = "TREAT", stretch: str = "30d", key: str | None = None
) -> Granted:
    with opened(key) as session:
        patient = session.patient()
        until = patient.bridge.system.chain.now() + seconds_in(stretch)
        granted = patient.grant(session.whom(grantee), classes_in(classes), purposes_in(purposes), until=until)
        print(f"{granted.grantee} may read {classes} for {purposes} until {moment(until)}")
        return granted
