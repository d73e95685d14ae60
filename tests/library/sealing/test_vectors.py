"""The golden vectors: made again they are the same, and the library agrees with every one of them."""

import importlib.util
import io
import json
import sys
from pathlib import Path

import pytest

from medibridge.ids import address
from medibridge.sealing import chunks, merkle, records
from medibridge.sealing.contributors import Share, ShareProof, ShareTree, verify_share
from medibridge.sealing.documents import split

ROOT = Path(__file__).parents[3]
VECTORS = ROOT / "tests" / "vectors"


def loaded(value):
    """A vector file's values, with bytes for hexadecimal."""
    if isinstance(value, dict):
        return {name: loaded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [loaded(item) for item in value]
    return bytes.fromhex(value[2:]) if isinstance(value, str) and value.startswith("0x") else value


def make_vectors():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("make_vectors", ROOT / "scripts" / "make_vectors.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


MAKER = make_vectors()
SEALING = loaded(json.loads((VECTORS / "sealing.json").read_text(encoding="utf-8")))
CONTRIBUTORS = loaded(json.loads((VECTORS / "contributors.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", sorted(MAKER.FILES))
def test_vector_file_is_what_the_script_writes(name):
    assert (VECTORS / name).read_text(encoding="utf-8") == MAKER.text_of(MAKER.FILES[name]())


def test_every_vector_file_has_a_function_that_makes_it():
    assert {path.name for path in VECTORS.glob("*.json")} == set(MAKER.FILES)


def test_merkle_agrees_with_the_vectors():
    tree = SEALING["merkle"]
    assert [merkle.leaf(entry) for entry in tree["entries"]] == tree["leaves"]
    for size, root in enumerate(tree["roots"], start=1):
        assert merkle.root(tree["leaves"][:size]) == root
    for proof in tree["paths"]:
        size, index = proof["size"], proof["index"]
        assert merkle.path(tree["leaves"][:size], index) == proof["path"]
        assert merkle.verify(tree["roots"][size - 1], size, index, tree["leaves"][index], proof["path"])


def test_padded_size_agrees_with_the_vectors():
    for case in SEALING["padding"]:
        assert chunks.padded_size(case["size"]) == case["padded"]


@pytest.mark.parametrize("case", SEALING["chunks"], ids=lambda case: f"{len(case['plaintext'])} bytes")
def test_chunk_agrees_with_the_vectors(case):
    key = chunks.chunk_key(case["key"], case["index"])
    assert key == case["chunkKey"]
    chunk = bytearray(len(case["plaintext"]) + chunks.TAG_SIZE)
    chunks.seal_chunk(key, case["index"], case["n"], case["plaintext"], chunk)
    assert chunk == case["chunk"]
    hashes = chunks.hashes_of(key, chunk, case["plaintext"])
    assert hashes == case["keyHash"] + case["cipherHash"] + case["plainHash"]
    assert merkle.leaf(hashes) == case["leaf"]
    assert chunks.open_chunk(key, case["index"], case["n"], chunk, hashes) == case["plaintext"]


@pytest.mark.parametrize("case", SEALING["records"], ids=lambda case: f"{case['contentSize']} bytes")
def test_seal_agrees_with_the_vectors(case):
    content = MAKER.content_of(case["contentSize"])
    key = records.RecordKey.from_bytes(case["key"])
    sealed = records.seal(io.BytesIO(content), len(content), lambda block: None, key=key)
    assert sealed.seal == records.Seal(case["treeRoot"], case["n"], case["size"])
    assert sealed.seal.seal_id == case["sealId"]
    assert list(sealed.blocks) == case["blockDigests"]
    digest, _ = split(sealed.manifest([]).encode())
    assert digest == case["manifestDigest"]


def test_sale_agrees_with_the_vectors():
    sale = SEALING["sale"]
    key = records.RecordKey.from_bytes(sale["key"])
    assert records.mask(key, sale["t"], sale["orderId"]) == sale["masked"]
    assert records.unmask(sale["masked"], sale["t"], sale["orderId"]) == key
    assert records.commitment(sale["t"]) == sale["commitment"]
    assert records.stale_keyring(SEALING["staleKeyring"]["digest"]) == SEALING["staleKeyring"]["stale"]


@pytest.mark.parametrize("case", SEALING["disputes"], ids=lambda case: case["name"])
def test_dispute_agrees_with_the_vectors(case):
    hashes = case["keyHash"] + case["cipherHash"] + case["plainHash"]
    assert records.Seal(case["treeRoot"], case["n"], case["size"]).seal_id == case["sealId"]
    assert merkle.verify(case["treeRoot"], case["n"], case["index"], merkle.leaf(hashes), case["path"])
    delivered = chunks.chunk_key(SEALING["sale"]["key"], case["index"])
    opened = chunks.open_chunk(delivered, case["index"], case["n"], case["chunk"], hashes)
    verdicts = {chunks.Fault.KEY: "wrong key", chunks.Fault.PLAINTEXT: "wrong chunk"}
    assert verdicts.get(opened, "none") == case["verdict"]
    if case["verdict"] != "wrong key":
        assert delivered == case["chunkKey"]


def share_proof(case, size, total):
    """A proof of the vectors as the library has it."""
    number = lambda text: int.from_bytes(text, "big")  # noqa: E731 - read three times below
    path = tuple((number(each), step) for each, step in zip(case["sums"], case["hashes"], strict=True))
    payout = address("0x" + case["payout"].hex())
    return ShareProof(payout, number(case["share"]), case["hidden"], case["index"], path, size, number(total))


@pytest.mark.parametrize("case", CONTRIBUTORS["trees"], ids=lambda case: case["name"])
def test_contributors_agree_with_the_vectors(case):
    shares = [
        Share(
            address("0x" + each["patient"].hex()),
            address("0x" + each["payout"].hex()),
            int.from_bytes(each["share"], "big"),
            each["salt"],
        )
        for each in reversed(case["proofs"])
    ]
    tree = ShareTree(shares)
    assert (tree.root, tree.size, tree.subject) == (case["root"], case["size"], case["subject"])
    assert tree.total.to_bytes(16, "big") == case["total"]
    for each in case["proofs"]:
        proof = share_proof(each, case["size"], case["total"])
        assert proof == tree.proof(address("0x" + each["patient"].hex()))
        assert tree.shares[each["index"]].leaf == each["leaf"]
        assert verify_share(case["subject"], case["root"], proof)


@pytest.mark.parametrize("case", CONTRIBUTORS["refused"], ids=lambda case: case["name"])
def test_contributors_refuse_what_the_vectors_refuse(case):
    assert not verify_share(case["subject"], case["root"], share_proof(case, case["size"], case["total"]))
