"""``medibridge patient``: read your records, decide who else may, sell, be paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from medibridge.chain import Conditions, Consent, Decision
from medibridge.cli.amounts import decimal_text, in_words, moment, seconds_in, units_in
from medibridge.cli.arguments import (
    AttachmentsOption,
    DeliverWithinOption,
    DisputeWithinOption,
    Output,
    RecordName,
    classes_in,
    lane_in,
    purpose_in,
    purposes_in,
)
from medibridge.cli.contributions import add_contributions
from medibridge.cli.options import command, group
from medibridge.cli.records import SHORT, hand_over, list_records
from medibridge.cli.screen import Document, table
from medibridge.cli.selling import add_selling
from medibridge.cli.session import Session
from medibridge.cli.standing_offers import add_standing_offers
from medibridge.cli.statements import add_statements
from medibridge.ids import Address, DataClass, Lane, PurposeOfUse
from medibridge.roles import Patient

app = group("A patient: reads, decides who else may read, sells, is paid.")

_Grantee = Annotated[str, typer.Argument(metavar="GRANTEE", help="Whom you let read: an address, or one of your keys.")]


@command(app)
def register(session: Session) -> None:
    """Publish your key card and your first keyring. Then hospitals can seal records to you.

    For example:

        medibridge patient register --key iris
    """
    patient = session.patient()
    patient.register()
    session.screen.show({"registered": patient.address}, f"the key card of {patient.address} is published")


@command(app)
def records(session: Session) -> None:
    """List every record about you that somebody has deposited.

    For example:

        medibridge patient records --key iris
    """
    list_records(session.screen, session.patient().records())


@command(app)
def read(session: Session, record: RecordName, output: Output = None, attachments: AttachmentsOption = None) -> None:
    """Read one of your records as FHIR JSON.

    For example:

        medibridge patient read 4a1f09
        medibridge patient read 4a1f09 -o record.json --attachments images
    """
    patient = session.patient()
    found = patient.record(record)
    hand_over(session.screen, lambda keep: patient.read(found, keep), output, attachments)


@command(app)
def grant(
    session: Session,
    grantee: _Grantee,
    classes: Annotated[
        str, typer.Option("--classes", metavar="CLASS,…", help="Which classes of data: laboratory, medications …")
    ],
    purposes: Annotated[
        str, typer.Option("--purposes", metavar="PURPOSE,…", help="What for (HL7 purpose of use): TREAT, HRESCH …")
    ],
    stretch: Annotated[str, typer.Option("--for", metavar="STRETCH", help="For how long, such as 30d or 12h.")],
) -> None:
    """Let somebody read all your records of some classes, those of today and those to come, for a time.

    One transaction, whatever the number of records. It takes the place of what the same grantee had before in
    the same lane, care or research-and-sale; all purposes of one grant belong to one lane. Whoever reads a
    class now reads its history too, and may keep what it has read.

    For example:

        medibridge patient grant 0x3C44… --classes laboratory,medications --purposes TREAT --for 30d
    """
    whom, what, why, seconds = session.whom(grantee), classes_in(classes), purposes_in(purposes), seconds_in(stretch)
    patient = session.patient()
    until = patient.bridge.system.chain.now() + seconds
    patient.grant(whom, what, why, until=until)
    labels = sorted(member.label for member in what)
    session.screen.show(
        {"grantee": whom, "classes": labels, "purposes": sorted(member.name for member in why), "until": until},
        f"{whom} may read {', '.join(labels)} until {moment(until)}",
    )


@command(app)
def revoke(
    session: Session,
    grantee: _Grantee,
    lane: Annotated[
        str, typer.Option("--lane", metavar="LANE", help="Which lane of consent: care, or research-and-sale.")
    ] = "care",
) -> None:
    """Shut somebody out of everything deposited from now on.

    One transaction, whatever the number of records; it works even while the store is out of reach. What the
    grantee has read, or could have read before, it may have kept.

    For example:

        medibridge patient revoke 0x3C44…
    """
    whom, which = session.whom(grantee), lane_in(lane)
    patient = session.patient()
    patient.revoke(whom, which)
    label = which.name.lower().replace("_", "-")
    session.screen.show(
        {"grantee": whom, "lane": label, "revoked": True},
        f"{whom} is shut out of what is deposited from now on ({label})",
    )


@command(app)
def refresh(session: Session) -> None:
    """Publish a new keyring where one is due.

    One is due after a revocation that found the store out of reach, when a consent has begun or ended, and when
    records came in that no class key was there for. Running it too often does no harm.

    For example:

        medibridge patient refresh
    """
    replaced = session.patient().refresh()
    session.screen.show(
        {"refreshed": replaced is not None},
        "a new keyring is published" if replaced is not None else "nothing is due",
    )


@command(app)
def audit(session: Session) -> None:
    """Show who may read what now, and everybody who ever asked, with the answer.

    For example:

        medibridge patient audit
    """
    patient = session.patient()
    consents, trail = _consents(patient), patient.bridge.system.consents.decided(patient.address)
    asked = [
        (
            each.asker,
            _named(each.data_class, lambda number: DataClass(number).label),
            _named(each.purpose, lambda number: PurposeOfUse(number).name),
            Decision(each.decision).name.lower().replace("_", " "),
        )
        for each in trail
    ]
    may = [
        (
            whom,
            ", ".join(sorted(member.label for member in consent.classes)),
            ", ".join(sorted(member.name for member in consent.purposes)),
            moment(consent.end),
        )
        for whom, consent in consents
    ]
    session.screen.show(
        {
            "consents": [_consent_document(whom, consent) for whom, consent in consents],
            "trail": [dict(zip(("asker", "class", "purpose", "answer"), row, strict=True)) for row in asked],
        },
        table("Who may read now", ("grantee", "classes", "purposes", "until"), may) if may else "nobody may read now",
        table("Who asked, oldest first", ("asker", "class", "purpose", "answer"), asked)
        if asked
        else "nobody asked yet",
    )


@command(app)
def offer(
    session: Session,
    record: RecordName,
    price: Annotated[str, typer.Option("--price", metavar="AMOUNT", help="What you ask, such as 50.00.")],
    purpose: Annotated[
        str, typer.Option("--purpose", metavar="PURPOSE", help="What it may be used for: HRESCH, DSRCH, HMARKT …")
    ] = "HRESCH",
    deliver_within: DeliverWithinOption = "1d",
    dispute_within: DisputeWithinOption = "1d",
) -> None:
    """Offer a de-identified record for sale.

    Records and their de-identified twins stand side by side in the list; only twins can be offered. The price is
    held in escrow until you have delivered the key and the time for complaints is over.

    For example:

        medibridge patient offer 83c0d2 --price 50.00
    """
    why, soon, later = purpose_in(purpose), seconds_in(deliver_within), seconds_in(dispute_within)
    patient = session.patient()
    token = patient.bridge.system.token
    units = units_in(price, token.decimals())
    conditions = Conditions(purpose=why)
    listed = patient.offer(
        patient.record(record), units, conditions=conditions, deliver_within=soon, dispute_within=later
    )
    name = listed.listing_id.hex()
    session.screen.show(
        {"offer": name, "price": decimal_text(units, token.decimals())},
        f"offer {name[:SHORT]} is live, for {in_words(token, units)}",
    )


add_selling(app, Session.patient, "patient")
add_standing_offers(app)
add_contributions(app)
add_statements(app)


def _named(number: int, name: Callable[[int], str]) -> str:
    """The name of a number of the audit trail; anybody can ask about classes and purposes that do not exist."""
    try:
        return name(number)
    except ValueError:
        return f"unknown ({number})"


def _consents(patient: Patient) -> list[tuple[Address, Consent]]:
    """Every consent that holds now."""
    system = patient.bridge.system
    now, everybody = system.chain.now(), {each.grantee for each in system.consents.granted(patient=patient.address)}
    found = [
        (whom, system.consents.consent_of(patient.address, whom, lane)) for whom in sorted(everybody) for lane in Lane
    ]
    return [(whom, consent) for whom, consent in found if consent.start <= now < consent.end]


def _consent_document(whom: Address, consent: Consent) -> Document:
    return {
        "grantee": whom,
        "classes": sorted(member.label for member in consent.classes),
        "purposes": sorted(member.name for member in consent.purposes),
        "start": consent.start,
        "end": consent.end,
    }
