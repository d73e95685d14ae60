"""What may leave the building: policies by name, the list of elements that pass, and the rules for each value.

A policy is an allow-list. What it does not name is left out, wherever it stands; so is a code that does not have the
shape of its code system. Text, displays, narrative, notes, identifiers, names, addresses, extensions and attachments
are on no list: no filter for free text is good enough to sell what it lets through.
"""

from medibridge.formats.deidentification.policy import POLICIES, Dates, Places, Policy
from medibridge.formats.deidentification.values import Rule, Treatment

__all__ = ["POLICIES", "Dates", "Places", "Policy", "Rule", "Treatment"]
