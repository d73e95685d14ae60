"""build: what comes out of a source, and what never does."""

from __future__ import annotations

import datetime
import hashlib
import json
import random
import re
import signal
import subprocess
import sys
from collections import Counter

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patients import IDENTIFIERS, bundles, resources_of

from medibridge.datasets import About, Contributors, Terms, build
from medibridge.datasets.archive import private_folder
from medibridge.errors import UsageError
from medibridge.formats.deidentification import Policy
from medibridge.formats.fhir import validate
from medibridge.formats.splitting import key_of, references_in
from medibridge.record import canonical_json, parse_json

KEY = bytes(range(32))
SAFE_HARBOR = Policy.named("safe-harbor")
ACCOUNTS = [f"0x{number:040x}" for number in range(1, 400)]


def terms(policy="safe-harbor", **others):
    return Terms(Policy.named(policy), **{"key": KEY, "as_of": 2026, **others})


def write(path, found):
    path.write_bytes(b"".join(canonical_json(bundle) + b"\n" for bundle in found))
    return path


def files(out):
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def all_bytes(out):
    """All that people can read."""
    return b"".join(content for path, content in sorted(files(out).items()) if path.suffix != ".parquet")


def tables_text(out):
    return "".join(str(pq.read_table(path).to_pylist()) for path in sorted((out / "tables").iterdir()))


def of_kind(found, kind):
    return [resource for resource in found if resource["resourceType"] == kind]


# --- what comes out -------------------------------------------------------------------------------------------------


def test_build_gives_valid_fhir_with_references_that_resolve(built, policy, resources_in):
    out, _ = built(policy)
    found = resources_in(out)
    keys = {key_of(resource) for resource in found}
    assert len(keys) == len(found)
    for resource in found[:: max(1, len(found) // 400)]:
        assert validate(parse_json(json.dumps(resource).encode())) == ()
    for resource in found:
        assert set(references_in(resource)) <= keys


def test_build_writes_everything_that_it_promises(built, policy):
    out, report = built(policy)
    assert {path.name for path in out.iterdir()} == {
        "ndjson",
        "tables",
        "dictionary.csv",
        "datasheet.md",
        "datasheet.html",
        "release-report.html",
        "release-report.json",
    }
    stated = json.loads((out / "release-report.json").read_text())
    assert stated == json.loads(json.dumps(report.to_document()))
    assert stated["policy"]["name"] == policy
    for each in stated["files"]:
        assert hashlib.sha256((out / each["path"]).read_bytes()).hexdigest() == each["sha256"]
    lines = "".join(f"{each['sha256']}  {each['path']}\n" for each in sorted(stated["files"], key=lambda e: e["path"]))
    assert hashlib.sha256(lines.encode()).hexdigest() == stated["sha256"]


def test_build_counts_what_it_wrote(built, policy, resources_in):
    out, report = built(policy)
    kinds = Counter(resource["resourceType"] for resource in resources_in(out))
    assert dict(report.counts.resources_out) == kinds
    assert report.counts.patients_out == kinds["Patient"] == report.risks.patients
    assert report.counts.patients_in == 150
    assert report.counts.patients_in - report.counts.patients_suppressed == report.counts.patients_out
    assert pq.read_table(out / "tables" / "cohort.parquet").num_rows == kinds["Patient"]
    assert pq.read_table(out / "tables" / "labs.parquet").num_rows == kinds["Observation"]


def test_build_gives_the_same_bytes_for_the_same_key_and_other_ids_for_another(source, built, tmp_path, resources_in):
    out, report = built("safe-harbor")
    again = build(source, tmp_path / "again", terms())
    assert files(tmp_path / "again") == files(out)
    assert again.to_document() == report.to_document()
    build(source, tmp_path / "other", terms(key=bytes(32)))
    ids = {resource["id"] for resource in resources_in(out)}
    assert ids.isdisjoint(resource["id"] for resource in resources_in(tmp_path / "other"))
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in ids)


def test_build_keeps_numbers_to_the_last_digit(source, built):
    out, _ = built("safe-harbor")
    told = (out / "ndjson" / "Observation.ndjson").read_text()
    assert re.search(r'"value":\d+\.\d0\b', told)


def test_build_takes_the_last_version_of_what_comes_twice(tmp_path):
    found = list(bundles(30, seed=5))
    later = parse_json(canonical_json(found[0]))
    patient = resources_of(later)[0]
    other = "female" if patient["gender"] == "male" else "male"
    patient["gender"] = other
    path = write(tmp_path / "in.ndjson", [*found, later])
    report = build(path, tmp_path / "out", terms(quasi=("sex",), most_suppressed=0.5, k=2))
    assert report.counts.patients_in == 30
    assert dict(report.counts.resources_out)["Encounter"] == sum(
        resource["resourceType"] == "Encounter" for bundle in found for resource in resources_of(bundle)
    )
    before = Counter(resources_of(bundle)[0]["gender"] for bundle in found)
    after = Counter({sex: number for _, sex, number in report.people})
    assert after[other] == before[other] + 1


def test_build_reads_single_resources_and_json_files_and_passes_over_what_is_no_fhir(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    found = list(bundles(20, seed=5))
    write(folder / "a.ndjson", [resource for bundle in found[:10] for resource in resources_of(bundle)])
    for number, bundle in enumerate(found[10:]):
        (folder / f"b{number}.json").write_bytes(canonical_json(bundle))
    (folder / "c.ndjson").write_bytes(b'not json\n{"resourceType":"Observation"\n[1]\n')
    (folder / "a.report.ndjson").write_bytes(b"what convert says about a.ndjson\n")
    report = build(folder, tmp_path / "out", terms(k=2))
    assert (report.counts.patients_in, report.counts.unreadable) == (20, 3)
    assert any("could not be read" in warning for warning in report.warnings)


def test_build_follows_references_by_full_url(tmp_path):
    def linked(bundle):
        urls = {f"{r['resourceType']}/{r['id']}": f"urn:uuid:{r['id']}" for r in resources_of(bundle)}
        text = canonical_json(bundle).decode()
        for key, url in urls.items():
            text = text.replace(f'"reference":"{key}"', f'"reference":"{url}"')
            text = text.replace(f'"fullUrl":"https://rowan.example/fhir/{key}"', f'"fullUrl":"{url}"')
        return parse_json(text.encode())

    found = list(bundles(20, seed=5))
    build(write(tmp_path / "a.ndjson", found), tmp_path / "a", terms(k=2))
    build(write(tmp_path / "b.ndjson", [linked(bundle) for bundle in found]), tmp_path / "b", terms(k=2))
    assert (tmp_path / "a" / "ndjson" / "Observation.ndjson").read_bytes() == (
        tmp_path / "b" / "ndjson" / "Observation.ndjson"
    ).read_bytes()


def with_more(bundle, *resources):
    subject = {"reference": f"Patient/{resources_of(bundle)[0]['id']}"}
    more = [{"resource": {"subject": subject, **resource}} for resource in resources]
    return {**bundle, "entry": [*bundle["entry"], *more]}


SNOMED = {"coding": [{"system": "http://snomed.info/sct", "code": "706172005"}]}
USE = {"resourceType": "DeviceUseStatement", "status": "active"}


def test_build_leaves_out_what_needs_something_that_is_not_there(tmp_path):
    first, second, *rest = bundles(20, seed=5)
    device = {"resourceType": "Device", "id": "pump", "type": SNOMED}
    lost = [
        {**USE, "id": "lost", "device": {"reference": "Device/none"}},
        {**USE, "id": "text", "device": {"reference": "Device/named"}},
        {"resourceType": "Device", "id": "named", "type": {"text": "Canary"}},
    ]
    kept = {**USE, "id": "kept", "device": {"reference": "Device/pump"}}
    path = write(tmp_path / "in.ndjson", [with_more(first, device, kept, *lost), with_more(second, device), *rest])
    report = build(path, tmp_path / "out", terms(k=2, quasi=("sex",)))
    assert dict(report.counts.resources_out)["DeviceUseStatement"] == 1
    devices = [json.loads(line) for line in (tmp_path / "out" / "ndjson" / "Device.ndjson").read_bytes().splitlines()]
    assert len({each["id"] for each in devices}) == 2, "what two patients share has a name for each"
    assert any("cannot be without" in rule and number == 2 for rule, number in report.rules)


def test_build_drops_references_to_what_is_another_patients(tmp_path, resources_in):
    first, second, *rest = bundles(20, seed=5)
    other = next(r["id"] for r in resources_of(second) if r["resourceType"] == "Observation")
    report = next(r for r in resources_of(first) if r["resourceType"] == "DiagnosticReport")
    report["result"] = [{"reference": f"Observation/{other}"}]
    build(write(tmp_path / "in.ndjson", [first, second, *rest]), tmp_path / "out", terms(k=2, quasi=("sex",)))
    reports = of_kind(resources_in(tmp_path / "out"), "DiagnosticReport")
    assert sum("result" not in each for each in reports) == 1


# --- what never does ------------------------------------------------------------------------------------------------

WORDS = re.compile(
    r"Fernhollow|Okonkwo|Lindqvist|Wychbury|Haddad|Moreau|MRN-|VISIT-|555-|Rowan|pat-\d|obs-\d|enc-\d|con-\d|med-\d"
    r"|Alder Row|Mill Lane|discussed|is well|as the patient likes|Glucose|a diagnosis|a drug|outpatient note"
)


def test_build_lets_no_word_of_the_source_through(built, policy):
    out, _ = built(policy)
    told = all_bytes(out).decode("latin-1") + tables_text(out)
    assert not WORDS.search(told)


def test_safe_harbor_tells_no_date_finer_than_the_year_and_no_zip_beyond_its_prefix(built):
    out, _ = built("safe-harbor")
    told = "".join(path.read_text() for path in (out / "ndjson").iterdir()) + tables_text(out)
    assert not re.search(r"(19|20)\d\d-\d\d\b(?!\d)", re.sub(r"'birth': '\d{4}-\d{4}'", "", told))
    assert not re.search(r"\b(62701|61602|03601|02115|Springfield|Boston|Peoria|Hanover)\b", told)


PLANTED = "Qcanary7"


def planted(value, chance, inside=""):
    """A copy with canaries in the place of strings, and beside elements."""
    if isinstance(value, str):
        keep = inside in ("resourceType", "reference", "fullUrl") or chance.random() < 0.5
        return value if keep else PLANTED
    if isinstance(value, dict):
        copy = {key: planted(child, chance, key) for key, child in value.items()}
        if inside != "request" and chance.random() < 0.5:
            place = chance.choice(["text", "display", "note", "extension", "_gender", "unit", "canary", "id"])
            if place != "id" or "reference" not in value:
                copy[place] = chance.choice([PLANTED, [{"text": PLANTED}], {"div": PLANTED}])
        return copy
    if isinstance(value, list):
        return [planted(child, chance, inside) for child in value]
    return value


@settings(max_examples=12)
@given(seed=st.integers(0, 50), planting=st.integers(0, 2**32))
@pytest.mark.parametrize("policy", ["safe-harbor", "expert"])
def test_build_lets_no_canary_through_wherever_it_stands(tmp_path_factory, policy, seed, planting):
    place = tmp_path_factory.mktemp("canary")
    found = list(bundles(3, seed=seed))
    altered = planted(parse_json(canonical_json(found[0])), random.Random(planting))
    path = write(place / "in.ndjson", [*found, altered])
    report = build(path, place / "out", terms(policy, k=2, most_suppressed=0.9))
    told = all_bytes(place / "out").lower() + tables_text(place / "out").lower().encode()
    assert b"canary" not in told
    assert "canary" not in repr(report).lower()
    for line in b"".join(each.read_bytes() for each in (place / "out" / "ndjson").iterdir()).splitlines():
        assert validate(parse_json(line)) == ()


# --- dates ----------------------------------------------------------------------------------------------------------


def days_by_patient(found):
    """For each patient, the days of all encounters, sorted."""
    days = {}
    for resource in of_kind(found, "Encounter"):
        day = datetime.date.fromisoformat(resource["period"]["start"][:10])
        days.setdefault(resource["subject"]["reference"], []).append(day)
    return {patient: sorted(each) for patient, each in days.items()}


@pytest.mark.parametrize("shifting", ["limited", "expert"])
def test_shifted_dates_keep_what_lies_between_them_and_are_never_the_true_ones(source, built, shifting, resources_in):
    out, report = built(shifting)
    true = days_by_patient([r for line in source.read_bytes().splitlines() for r in resources_of(json.loads(line))])
    told = days_by_patient(resources_in(out))
    gaps = lambda days: tuple((day - days[0]).days for day in days)  # noqa: E731 - read twice below
    assert Counter(map(gaps, told.values())) <= Counter(map(gaps, true.values()))
    one = [days[0] for days in told.values() if len(days) == 3]
    assert one
    assert "not Safe Harbor" in " ".join(report.warnings) or shifting == "limited"


def test_shifts_are_one_for_a_patient_and_within_fifty_days_and_never_none():
    from medibridge.formats.deidentification.dates import days_for

    drawn = Counter(days_for(f"Patient/{number}", KEY) for number in range(5000))
    assert set(drawn) == {*range(-50, 0), *range(1, 51)}
    assert max(drawn.values()) < 100


def test_limited_is_marked_as_limited_and_keeps_places(built, resources_in):
    out, report = built("limited")
    patients = of_kind(resources_in(out), "Patient")
    assert {place["postalCode"] for patient in patients for place in patient["address"]} == {
        "62701",
        "61602",
        "03601",
        "02115",
    }
    assert not any("security" in patient["meta"] for patient in patients)
    assert all(len(patient["birthDate"]) == 10 for patient in patients), "shifted as all dates of the patient"
    assert any("data use agreement" in warning for warning in report.warnings)
    assert "limited data set" in (out / "datasheet.md").read_text()


def test_one_patient_has_other_ids_by_another_policy(built, resources_in):
    ids = [{each["id"] for each in resources_in(built(policy)[0])} for policy in ("safe-harbor", "limited", "expert")]
    assert ids[0].isdisjoint(ids[1])
    assert ids[0].isdisjoint(ids[2])
    assert ids[1].isdisjoint(ids[2])


def test_shifted_times_do_not_tell_by_their_offset_when_summer_time_began(tmp_path, resources_in):
    found = [parse_json(canonical_json(bundle)) for bundle in bundles(30, seed=9)]
    for bundle in found:
        for each in of_kind(resources_of(bundle), "Encounter"):
            each["period"] = {"start": "2024-03-09T09:30:00-05:00", "end": "2024-03-11T09:30:00-04:00"}
    build(write(tmp_path / "in.ndjson", found), tmp_path / "out", terms("expert", k=2))
    periods = [each["period"] for each in of_kind(resources_in(tmp_path / "out"), "Encounter")]
    for period in periods:
        start, end = (datetime.datetime.fromisoformat(period[side]) for side in ("start", "end"))
        assert end - start == datetime.timedelta(days=2)
        assert start.utcoffset() == end.utcoffset() == datetime.timedelta(0)
    assert len({period["start"] for period in periods}) > 5


# --- ages and places ------------------------------------------------------------------------------------------------


def test_ages_above_89_become_one_group(tmp_path, resources_in):
    found = [parse_json(canonical_json(bundle)) for bundle in bundles(40, seed=9)]
    for number, bundle in enumerate(found):
        patient = resources_of(bundle)[0]
        patient["birthDate"] = "1910-03-04" if number % 4 == 0 else ("1936-05-06" if number % 4 == 1 else "1937-05-06")
        patient.pop("deceasedDateTime", None)
    report = build(write(tmp_path / "in.ndjson", found), tmp_path / "out", terms(k=5, quasi=("birth",)))
    assert dict(Counter({birth: number for birth, _, number in report.people})) == {"90+": 20, "1937": 20}
    told = "".join(path.read_text() for path in (tmp_path / "out" / "ndjson").iterdir())
    assert '"1910' not in told
    old = [p for p in of_kind(resources_in(tmp_path / "out"), "Patient") if "extension" in p]
    assert len(old) == 20
    assert all(patient["extension"][0]["valuePeriod"] == {"end": "1936"} for patient in old)


def test_zip_codes_of_empty_areas_become_000(built):
    out, _ = built("safe-harbor")
    areas = set(pq.read_table(out / "tables" / "cohort.parquet")["zip"].to_pylist())
    assert "036" not in areas
    assert areas <= {"*", "000", "627", "616", "021", "0", "6"}


def test_what_is_not_told_is_nowhere(tmp_path, source):
    build(source, tmp_path / "out", terms(quasi=("zip",)))
    patients = (tmp_path / "out" / "ndjson" / "Patient.ndjson").read_text()
    assert "gender" not in patients
    assert "birth" not in patients
    assert "deceased" not in patients
    assert "postalCode" in patients


def test_observations_that_say_the_age_once_more_are_left_out(tmp_path):
    found = [parse_json(canonical_json(bundle)) for bundle in bundles(30, seed=9)]
    age = next(r for r in resources_of(found[0]) if r["resourceType"] == "Observation")
    age["code"]["coding"][0]["code"] = "30525-0"
    report = build(write(tmp_path / "in.ndjson", found), tmp_path / "out", terms(k=2))
    assert "30525-0" not in (tmp_path / "out" / "ndjson" / "Observation.ndjson").read_text()
    assert any("once more" in rule and number == 1 for rule, number in report.rules)


def of_one(bundle, kind):
    return next(each for each in resources_of(bundle) if each["resourceType"] == kind)


def test_what_tells_death_or_birth_is_left_out_and_the_rest_of_the_visit_stays(tmp_path, resources_in):
    found = [parse_json(canonical_json(bundle)) for bundle in bundles(30, seed=9)]
    system = "http://terminology.hl7.org/CodeSystem/v2-0112"
    for bundle, code in zip(found, ["20", "01"] * 15, strict=True):
        disposition = {"coding": [{"system": system, "code": code}]}
        of_one(bundle, "Encounter")["hospitalization"] = {"dischargeDisposition": disposition}
        of_one(bundle, "Condition")["code"] = {
            "coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z38.00" if code == "20" else "I10"}]
        }
    report = build(write(tmp_path / "in.ndjson", found), tmp_path / "out", terms(k=2, most_suppressed=0))
    told = resources_in(tmp_path / "out")
    ends = {json.dumps(each.get("hospitalization")) for each in of_kind(told, "Encounter")}
    assert any('"01"' in end for end in ends)
    assert not any('"20"' in end for end in ends)
    assert "Z38" not in json.dumps(told)
    assert len(of_kind(told, "Encounter")) == dict(report.counts.resources_in)["Encounter"]


def test_an_age_in_other_words_goes_with_the_code_that_says_so(tmp_path, resources_in):
    found = [parse_json(canonical_json(bundle)) for bundle in bundles(30, seed=9)]
    for bundle in found:
        of_one(bundle, "Observation")["code"] = {
            "coding": [
                {"system": "http://snomed.info/sct", "code": "445518008"},
                {"system": "http://loinc.org", "code": "30525-0"},
            ]
        }
    build(write(tmp_path / "in.ndjson", found), tmp_path / "out", terms(k=2))
    assert "445518008" not in json.dumps(resources_in(tmp_path / "out"))


@pytest.mark.parametrize("policy", ["safe-harbor", "expert", "limited"])
def test_an_age_at_onset_comes_out_only_where_the_year_of_birth_does(tmp_path, resources_in, policy):
    found = [parse_json(canonical_json(bundle)) for bundle in bundles(30, seed=9)]
    age = {"value": 85, "system": "http://unitsofmeasure.org", "code": "a"}
    for bundle in found:
        condition = of_one(bundle, "Condition")
        condition.pop("onsetDateTime", None)
        condition |= {"onsetAge": age, "abatementAge": age, "recordedDate": "2010-05-06"}
    build(write(tmp_path / "in.ndjson", found), tmp_path / "out", terms(policy, k=None if policy == "limited" else 2))
    assert ("onsetAge" in json.dumps(resources_in(tmp_path / "out"))) == (policy == "limited")


def test_rare_diagnoses_are_left_out_by_expert(tmp_path):
    found = [parse_json(canonical_json(bundle)) for bundle in bundles(60, seed=9)]
    rare = next(r for r in resources_of(found[0]) if r["resourceType"] == "Condition")
    rare["code"]["coding"][0]["code"] = "E75.22"
    path = write(tmp_path / "in.ndjson", found)
    build(path, tmp_path / "out", terms("expert", k=5))
    assert "E75.22" not in (tmp_path / "out" / "ndjson" / "Condition.ndjson").read_text()
    build(path, tmp_path / "all", terms("safe-harbor", k=5, quasi=("sex",)))
    assert "E75.22" in (tmp_path / "all" / "ndjson" / "Condition.ndjson").read_text()


# --- consent --------------------------------------------------------------------------------------------------------


def contributors(numbers):
    rows = "".join(f"{IDENTIFIERS},MRN-{number:04},{ACCOUNTS[number]}\n" for number in numbers)
    return Contributors.from_csv("system,value,address\n" + rows)


def test_build_leaves_out_who_did_not_agree_and_keeps_the_accounts_to_itself(source, tmp_path):
    out = tmp_path / "out"
    report = build(source, out, terms(contributors=contributors(range(1, 101)), quasi=("sex",)))
    assert report.counts.patients_without_consent == 50
    assert report.counts.patients_out == report.contributors == 100
    private = private_folder(out) / "contributors.json"
    assert private.stat().st_mode & 0o777 == 0o600
    assert private_folder(out).stat().st_mode & 0o777 == 0o700
    kept = json.loads(private.read_text())["patients"]
    assert len(kept) == 100
    patients = {json.loads(line)["id"] for line in (out / "ndjson" / "Patient.ndjson").read_bytes().splitlines()}
    assert {patient for each in kept.values() for patient in each} == patients
    assert b"0x" not in all_bytes(out)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "heading"),
        ("system,value,address\n", "names nobody"),
        ("system,value,address\na,,0x" + "1" * 40, "line 2 .* no value"),
        ("system,value,address\na,b,Canary", "line 2 .* no Ethereum address"),
        ("system,value,address\na,b", "line 2 .* cells"),
        (f"system,value,address\na,b,{ACCOUNTS[1]}\na,b,{ACCOUNTS[2]}", "line 3 .* another account"),
    ],
)
def test_contributors_are_refused_with_the_line_and_no_value(text, words):
    with pytest.raises(UsageError, match=words) as refusal:
        Contributors.from_csv(text)
    assert "Canary" not in str(refusal.value)


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"k": 1}, "k = 1 hides nobody"),
        ({"k": 0}, "k = 0 hides nobody"),
        ({"most_suppressed": 1.0}, "share of patients"),
        ({"as_of": 1990}, "counted to a year"),
        ({"key": b"short"}, "32 bytes"),
        ({"k": 1000}, "than k = 1000"),
    ],
)
def test_build_refuses_terms_that_protect_nobody(source, tmp_path, wrong, words):
    with pytest.raises(UsageError, match=words):
        build(source, tmp_path / "out", terms(**wrong))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("k", "words"), [(1, "k = 1 hides nobody"), (0, "needs k-anonymity")])
def test_a_policy_cannot_ask_for_a_k_that_hides_nobody(k, words):
    with pytest.raises(UsageError, match=words):
        Terms(Policy.from_yaml(f"name: ours\nextends: expert\nk: {k}"), KEY)


def test_a_policy_without_k_warns_of_it(source, tmp_path):
    own = Policy.from_yaml("name: ours\nextends: safe-harbor\nk: 0")
    report = build(source, tmp_path / "out", Terms(own, KEY, as_of=2026))
    assert any("not asked for" in warning for warning in report.warnings)


def test_build_warns_where_ages_are_counted_to_a_year_that_is_over(source, tmp_path):
    report = build(source, tmp_path / "out", terms(as_of=2020))
    assert any("became 90 since" in warning for warning in report.warnings)


BUILD = """
import sys
from pathlib import Path
from medibridge.datasets import Terms, build
from medibridge.formats.deidentification import Policy

def say(doing):
    print(doing, flush=True)

build(Path(sys.argv[1]), Path(sys.argv[2]), Terms(Policy.named("safe-harbor"), bytes(32)), progress=say)
"""


def test_a_killed_build_leaves_no_dataset_and_the_next_one_takes_its_remains_away(source, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", BUILD, str(source), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "reading\n"
        running.send_signal(signal.SIGKILL)
    assert not out.exists()
    [left] = tmp_path.iterdir()
    assert left.stat().st_mode & 0o777 == 0o700
    build(source, out, terms())
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_a_build_leaves_the_folder_of_another_one_that_runs(source, tmp_path):
    from medibridge.datasets.build import _unfinished

    with _unfinished(tmp_path / "out") as first:
        (first / "staging.duckdb").touch()
        with _unfinished(tmp_path / "out") as second:
            assert first.is_dir()
            assert second.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_limited_data_set_is_for_its_owner_alone(built):
    assert built("limited")[0].stat().st_mode & 0o777 == 0o700


def test_build_overwrites_nothing_and_leaves_nothing_half_done(source, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="never overwritten"):
        build(source, tmp_path / "out", terms())
    with pytest.raises(UsageError, match="neither a file"):
        build(tmp_path / "nothing", tmp_path / "new", terms())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_build_warns_of_a_small_k(source, tmp_path):
    report = build(source, tmp_path / "out", terms(k=3))
    assert any("below 11" in warning for warning in report.warnings)
    assert report.risks.smallest >= 3


# --- pages ----------------------------------------------------------------------------------------------------------


def test_pages_stand_alone_and_say_nothing_as_markup(source, tmp_path):
    said = About.from_yaml("title: <b>Bold</b>\nmotivation: '<script>alert(1)</script>'\ncustodian: R & D\n")
    report = build(source, tmp_path / "out", terms(about=said))
    for name in ("release-report.html", "datasheet.html"):
        page = (tmp_path / "out" / name).read_text()
        assert "<script" not in page
        assert "<b>Bold" not in page
        assert not re.search(r"(src|href)=|url\(|@import|https?://(?!www\.w3\.org)(?=[^<]*>)", page)
        assert "prefers-color-scheme: dark" in page
    assert report.digest in (tmp_path / "out" / "datasheet.md").read_text()
    charts = (tmp_path / "out" / "release-report.html").read_text()
    assert charts.count("<svg") == 4


@pytest.mark.parametrize("text", ["- a list", "unknown: 1", "a: [", "x"])
def test_about_refuses_what_is_not_about_a_dataset(text):
    with pytest.raises(UsageError, match="file about the dataset"):
        About.from_yaml(text)
