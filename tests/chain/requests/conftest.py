from __future__ import annotations

from typing import Any

import pytest
from demand import PER_PATIENT, Answer, Request, Volunteer, answer_of
from sales import Purchase, Use, digest


@pytest.fixture(scope="module")
def cohort(lasting: None, system: Any, people: dict[str, Any]) -> tuple[Volunteer, ...]:
    """Three patients who consent to the hospital's sales."""
    volunteers = (Volunteer.of(people["patient"]), Volunteer.of(people["second_patient"]), Volunteer.named("third"))
    for volunteer in volunteers:
        volunteer.consent(system.consents, people["hospital"], people["relayer"])
    return volunteers


@pytest.fixture(scope="module")
def rich_buyer(lasting: None, system: Any, people: dict[str, Any]) -> None:
    """The buyer has two budgets, approved here, and lets this contract buy."""
    buyer = people["buyer"]
    system.dollar.mint(buyer, 20 * PER_PATIENT, {"from": people["admin"]})
    system.dollar.approve(system.requests, 20 * PER_PATIENT, {"from": buyer})
    system.data_sales.allowAgent(system.requests, True, {"from": buyer})


@pytest.fixture(scope="module")
def wish(system: Any, people: dict[str, Any]) -> Request:
    """Two to ten patients' laboratory data, for a budget of ten."""
    return Request(people["buyer"].address, system.dollar.address)


@pytest.fixture(scope="module")
def asked(rich_buyer: None, system: Any, people: dict[str, Any], wish: Request) -> Request:
    """The wish, asked at noon."""
    system.requests.ask(wish, {"from": people["buyer"]})
    return wish


@pytest.fixture(scope="module")
def answer(cohort: tuple[Volunteer, ...], system: Any, people: dict[str, Any], asked: Request) -> Answer:
    """A dataset of all three, listed by the hospital for the buyer; not yet sent."""
    return answer_of(system, people["hospital"], cohort, asked)


@pytest.fixture
def answered(requests: Any, hospital: Any, asked: Request, answer: Answer) -> Answer:
    """The answer, sent."""
    requests.answer(asked, answer.listing, answer.joiners, {"from": hospital})
    return answer


@pytest.fixture
def purchase(asked: Request) -> Purchase:
    return Purchase(digest("commitment"), digest("sealed secret"), use=Use(*asked.use))
