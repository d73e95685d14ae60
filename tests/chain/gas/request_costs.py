"""Demand first: a request from the question to the purchase, and how a patient takes offers back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clock import Clock
from demand import PER_PATIENT, Request, Volunteer, answer_of
from gas.measuring import Cost, cost_of
from sales import DAY, Purchase, digest


def request_costs(system: Any, people: dict[str, Any], clock: Clock) -> Iterator[tuple[str, Cost]]:
    requests, dollar, buyer, hospital = system.requests, system.dollar, people["buyer"], people["hospital"]
    asker = {"from": buyer}
    dollar.mint(buyer, 100 * PER_PATIENT, {"from": people["admin"]})
    dollar.approve(requests, 100 * PER_PATIENT, asker)
    wish = Request(buyer.address, dollar.address, fewest=1, most=20, budget=20 * PER_PATIENT, until=clock.now() + DAY)
    requests.ask(wish, asker)  # the first dollars that this contract ever holds
    asked = wish._replace(nonce=1)
    yield "ask", cost_of(requests.ask(asked, asker))

    volunteers = [Volunteer.named(name) for name in range(12)]
    for volunteer in volunteers:
        volunteer.consent(system.consents, hospital, people["relayer"])
    answers = []
    for size, name in ((1, "answer with 1 patient"), (10, "answer with 10 patients")):
        joining = [volunteers.pop() for _ in range(size)]
        answers.append(answer_of(system, hospital, joining, asked, f"{name} at {clock.now()}"))
        sent = requests.answer(asked, answers[-1].listing, answers[-1].joiners, {"from": hospital})
        yield name, cost_of(sent)

    system.data_sales.allowAgent(requests, True, asker)
    taken = requests.take(asked, [answers[-1].listing], [Purchase(digest("c"), digest("s"), use=asked.use)], asker)
    yield "take an answer", cost_of(taken)
    clock.move_to(wish.until)
    yield "close", cost_of(requests.close(wish, asker))

    patient = people["patient"]
    offer = Volunteer.of(patient).offer(hospital, dollar)
    yield "cancel an offer", cost_of(requests.cancelOffer(offer, {"from": patient}))
    yield "cancel all offers below a number", cost_of(requests.cancelOffersBelow(5, {"from": patient}))
