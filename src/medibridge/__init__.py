"""MediBridge: patients own, share and sell their health records; sealed off chain, agreed on chain.

Start with the roles: `Hospital`, `Patient` and `Buyer`, each made with a `Bridge`, which is a `System` of
contracts behind a `Chain` and a store of blocks. ``README.md`` has a ten-line tour.
"""

from medibridge.chain import Chain, Deployment, Kind, System, deploy
from medibridge.errors import MediBridgeError
from medibridge.ids import Address, DataClass, Lane, PurposeOfUse, RecordDescription, address
from medibridge.record import Record
from medibridge.roles import Bridge, Buyer, Hospital, Patient
from medibridge.sealing.identity import Identity
from medibridge.storage import DirectoryJournal, DirectoryStore, IpfsStore, MemoryJournal, MemoryStore

__all__ = [
    "Address",
    "Bridge",
    "Buyer",
    "Chain",
    "DataClass",
    "Deployment",
    "DirectoryJournal",
    "DirectoryStore",
    "Hospital",
    "Identity",
    "IpfsStore",
    "Kind",
    "Lane",
    "MediBridgeError",
    "MemoryJournal",
    "MemoryStore",
    "Patient",
    "PurposeOfUse",
    "Record",
    "RecordDescription",
    "System",
    "address",
    "deploy",
]
