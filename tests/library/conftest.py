"""Property tests fail for what they find, never for the clock of a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("library", deadline=None, print_blob=True)
settings.load_profile("library")
