"""`IConsents.Decision`, number by number."""

from __future__ import annotations

PERMITTED, NO_CONSENT, CLASS_NOT_COVERED, PURPOSE_NOT_COVERED, NOT_YET_STARTED, ENDED = range(6)

BY_DELEGATE = 1
"""`Consent.flags`, where a delegate made the last change."""
