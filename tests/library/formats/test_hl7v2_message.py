"""HL7 v2 as text: framing, line ends, character sets, delimiters, escapes, places."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medibridge import samples
from medibridge.errors import FormatError, MalformedMessage, UnknownFormat
from medibridge.formats import Outcome, read
from medibridge.formats.hl7v2.message import parse

ORU = samples.read("oru-r01-laboratory.hl7")
HEADER = rb"MSH|^~\&|LAB|ROWAN|||20240307||ORU^R01|1|P|2.5"


def message(*segments: bytes, header: bytes = HEADER) -> bytes:
    return b"".join(segment + b"\r" for segment in (header, *segments))


def parsed(*segments: bytes, header: bytes = HEADER):
    return parse(message(*segments, header=header))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\r", b"\n"),
        lambda data: data.replace(b"\r", b"\r\n"),
        lambda data: data.replace(b"\r", b"\r\r\n\n"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: b"\n\r " + data,
        lambda data: b"\x0b" + data + b"\x1c\r",
        lambda data: b"\x0b\xef\xbb\xbf" + data + b"\x1c",
        lambda data: data + b"\x1c\r",
        lambda data: data.replace(rb"^~\&", rb"^~\&#", 1),
    ],
    ids=["LF", "CRLF", "blank lines", "BOM", "leading blanks", "MLLP", "MLLP and BOM", "MLLP end", "truncation mark"],
)
def test_read_gives_the_same_records_however_the_message_is_framed(change):
    assert resources_of(change(ORU)) == resources_of(ORU)


def resources_of(data):
    """All but the Provenance, which holds the hash of the bytes, and what says how the message was written."""
    unlike = ("Provenance", "MessageHeader")
    return [found for found in read(data).resources if found["resourceType"] not in unlike]


def test_read_takes_other_delimiters_from_msh():
    table = bytes.maketrans(rb"|^~\&", rb"#*!?$")
    plain = ORU.replace(rb"\T\ ", b"")  # which stands for the delimiter itself
    assert resources_of(plain.translate(table)) == resources_of(plain)


def test_read_reports_a_last_segment_without_line_end():
    conversion = read(ORU.rstrip(b"\r"))
    assert "OBX[6]" in conversion.report.places(Outcome.DEFAULT)
    assert "OBX[6]" not in read(ORU).report.places(Outcome.DEFAULT)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb"A\T\B\F\C\S\D\R\E\E\F", "A&B|C^D~E\\F"),
        (rb"one\.br\two\.sp2\three", "one\ntwo\n\nthree"),
        (rb"\X41\\X42\ \X4142\ \XC3A9\ \XC3\\XA9\ ", "AB AB é é"),
        (rb"\H\bold\N\ ", "bold"),
        (rb"\X4\ \XFF\ \Zab\ \C2842\ lone \ end", "\\X4\\ \\XFF\\ \\Zab\\ \\C2842\\ lone \\ end"),
        (rb"  padded  ", "padded"),
        (b'""', ""),
    ],
)
def test_text_resolves_escape_sequences_and_keeps_what_it_does_not_know(raw, text):
    assert parsed(b"NTE|1||" + raw).all("NTE")[0][3].text == text


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        (b"8859/1", "latin-1"),
        (b"8859/15", "iso8859-15"),
        (b"UNICODE UTF-8", "utf-8"),
        (b"", "utf-8"),
        (b"GB 18030-2000", "gb18030"),
        (b"UNICODE UTF-8~8859/1", "utf-8"),
        (b"ASCII~8859/2", "iso8859-2"),
        (b"utf-8~unicode", "utf-8"),
    ],
)
def test_parse_decodes_by_msh_18(name, codec):
    header = HEADER + b"|" * 6 + name
    data = header + b"\rNTE|1||" + "Größe é".encode(codec) + b"\r"
    assert parse(data).all("NTE")[0][3].text == "Größe é"


def test_parse_decodes_character_sets_that_switch_within_the_text():
    data = HEADER + b"|" * 6 + b"~ISO IR87\rNTE|1||" + "\u5c71\u7530^\u592a\u90ce".encode("iso2022_jp") + b"\r"
    part = parse(data).all("NTE")[0][3]
    assert (part[1].text, part[2].text) == ("\u5c71\u7530", "\u592a\u90ce")


def test_parse_names_the_line_when_bytes_are_not_in_the_character_set():
    with pytest.raises(MalformedMessage, match=r"line 3 .* MSH-18"):
        parse(message(b"PID|1", "NTE|1||Größe".encode("latin-1")))


def test_parse_refuses_when_msh_18_names_an_unknown_character_set():
    with pytest.raises(MalformedMessage, match=r"MSH\[1\]-18 .* accepted are: ASCII") as refusal:
        parse(message(header=HEADER + b"|" * 6 + b"Canary"))
    assert "Canary" not in str(refusal.value)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"MSH", MalformedMessage, "encoding characters"),
        (b"MSH|", MalformedMessage, "encoding characters"),
        (rb"MSH|^~\&", MalformedMessage, "encoding characters"),
        (b"MSH|^^^^|A", MalformedMessage, "encoding characters"),
        (b"MSHA^~\\&A", MalformedMessage, "encoding characters"),
        (b"\x0b" + ORU, MalformedMessage, "MLLP frame has no end"),
        (b"\x0b" + ORU + b"\x1c\r\x0b" + ORU + b"\x1c\r", UnknownFormat, "several MLLP frames"),
        (ORU + ORU, UnknownFormat, "line 14 begins another message"),
        (b"FHS|^~\\&|A\r" + ORU, UnknownFormat, "batch"),
        (ORU + b"BTS|1\r", UnknownFormat, "line 14"),
        (message(b"Canary of the patient"), MalformedMessage, "line 2 does not begin with the name of a segment"),
        (message(b"PID|1", b"OBQ|1"), MalformedMessage, "line 3"),
        (HEADER + b"|" * 600_000, MalformedMessage, "more than 500000 fields"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parse_says_what_is_wrong_and_what_to_do(data, error, words):
    with pytest.raises(error, match=words) as refusal:
        parse(data)
    assert "Canary" not in str(refusal.value)


def test_places_print_as_engineers_write_them():
    found = parsed(b"PID|1||A~B^C&D||E&F").all("PID")[0]
    assert [finding.place for finding in found.findings()] == [
        "PID[1]-1",
        "PID[1]-3",
        "PID[1]-3[2]",
        "PID[1]-3[2].2",
        "PID[1]-3[2].2.2",
        "PID[1]-5",
        "PID[1]-5.1.2",
    ]


def test_null_asks_for_a_deletion_and_is_no_value():
    conversion = read(ORU.replace(b"|19610514|F|", b'|""|F|'))
    assert "PID[1]-7" in conversion.report.places(Outcome.IGNORED)
    assert b"birthDate" not in conversion.records[0].to_bytes()


def test_message_and_its_parts_print_no_value():
    found = parse(ORU)
    assert repr(found) == "<Message of 13 segments>"
    assert "Fernhollow" not in repr(found.segments) + repr(found.all("PID")[0][5])


@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n\0"), max_size=40))
def test_text_gives_back_any_text_that_was_escaped(text):
    escaped = text
    for character, code in (("\\", "E"), ("|", "F"), ("^", "S"), ("&", "T"), ("~", "R")):
        escaped = escaped.replace(character, f"\\{code}\\")
    part = parsed(b"NTE|1||" + escaped.encode() + b"|").all("NTE")[0][3]
    assert part.text == ("" if text.strip() == '""' else text.strip())


@given(st.binary(max_size=60))
def test_parse_raises_format_errors_only_whatever_follows_the_header(tail):
    with contextlib.suppress(FormatError):
        parse(HEADER + tail)
