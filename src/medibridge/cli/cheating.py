"""A seller that cheats, for the demo: its deposits, bond, orders and deliveries are real, only its word is not."""

from __future__ import annotations

import io
import secrets

from medibridge.chain import OrderState
from medibridge.chain.events import Delivered, Listed
from medibridge.ids import DataClass, RecordDescription, subject_of
from medibridge.roles.datasets import DatasetCustodian
from medibridge.roles.orders import Sale, order_info
from medibridge.sealing.chunks import chunk_key, plain_hash
from medibridge.sealing.hpke import open_with
from medibridge.sealing.records import Manifest, RecordKey, Seal, mask, seal, wrap_key

__all__ = ["CheatingSeller"]


class CheatingSeller(DatasetCustodian):
    """An institution that sells data about itself, and breaks its word in both ways that a contract can prove."""

    def offer_sealed(self, content: bytes, price: int, *, spoiled: bool = False) -> Listed:
        """Seal, deposit and offer some content; where `spoiled`, the seal promises another last chunk than there is.

        `price` in the token's smallest unit. Raises as `DatasetCustodian.offer_dataset`.
        """
        sealed = seal(io.BytesIO(content), len(content), self._bridge.store.put)
        hashes = sealed.hashes
        if spoiled:
            last_key = chunk_key(sealed.key.expose(), sealed.seal.chunks - 1)
            hashes = hashes[:-32] + plain_hash(last_key, b"what was promised")
        seal_id = Seal.over(hashes, sealed.seal.size).seal_id
        wrap = wrap_key(sealed.key, seal_id, self._identity.registered.public_key)
        manifest = Manifest(sealed.seal.size, hashes, sealed.blocks, (wrap,))
        record = RecordDescription(
            custodian=self.address,
            subject=subject_of(self.address),
            data_class=DataClass.LABORATORY,
            epoch=0,
            deidentified=True,
            seal_id=seal_id,
            manifest=self._bridge.publish(manifest.encode()),
            salt=secrets.token_bytes(32),
        )
        return self.offer_dataset(record, price, security=0)

    def deliver_wrong_key(self) -> list[Delivered]:
        """Answer every paid order with a key that opens nothing, masked for its buyer as a right one is."""
        return [
            self._bridge.system.data_sales.deliver(
                self._account,
                sale.order,
                sale.listing,
                mask(RecordKey.generate(), self._secret_in(sale), sale.order_id),
            )
            for sale in self.sales()
            if sale.state is OrderState.PAID
        ]

    def _secret_in(self, sale: Sale) -> bytes:
        sealed = self._bridge.fetch(sale.sealed_secret)
        return open_with(self._identity.registered, order_info(sale.order_id), sealed)

    def _require_deliverable(self, record: RecordDescription) -> None:
        """An honest seller's client reads all of it back before it offers. This one does not."""
