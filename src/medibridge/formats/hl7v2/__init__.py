"""HL7 v2.1 to v2.9, by the maps in ``maps``: messages, segments, data types and code tables.

`framing` cuts messages from a stream; `grammar` and `message` read one into a tree of places; `groups` says which
segment belongs to which; `rules`, `targets` and `steps` and `views`
compile the maps; `primitives`, `concepts`, `quantities`, `authorities`, `telecom`, `places`, `attachments` and
`observations` convert values; `draft` holds the resources while they are made; `reading` puts it all together.
"""

from __future__ import annotations

from typing import Final

from medibridge.formats.conversion import Format
from medibridge.formats.hl7v2.framing import pieces, recognise
from medibridge.formats.hl7v2.reading import ACCEPTS, read

__all__ = ["FORMAT"]

FORMAT: Final = Format("hl7v2", ACCEPTS, recognise, pieces, read)
