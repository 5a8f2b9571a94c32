"""Surveys, notes and tables: what is written is read again, and what is odd is said."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from host_table import ROWS
from preflight_making import (
    LLAMA_8B,
    a_bundle,
    a_gpu,
    a_host,
    a_service,
    an_image,
    compat,
)
from sealift_manifests.errors import FormatVersionError, ManifestError
from sealift_manifests.model import Manifest, parse_manifest
from sealift_manifests.preflight import notes, survey, tables
from sealift_manifests.preflight.catalog import KINDS
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.facts import CdiSpec, Fault, ListeningPort
from sealift_manifests.preflight.findings import NEVER_ACCEPTED
from sealift_manifests.preflight.needs import GpuRequest, PublishedPort

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "bundle-v1" / "manifest.json"
TABLES_FILE = Path(tables.__file__).with_name("nvidia_tables.json")


def golden() -> Manifest:
    """Return the golden bundle's manifest."""
    return parse_manifest(GOLDEN.read_bytes())


def with_notes(**changes) -> Manifest:
    """Return the golden manifest with notes: image=, model=, services=."""
    manifest = golden()
    images, models, stack = manifest.images, manifest.models, manifest.stack
    if "image" in changes:
        images = (replace(images[0], facts={"gpu": changes["image"]}), *images[1:])
    if "model" in changes:
        models = (replace(models[0], facts={"serving": changes["model"]}), *models[1:])
    if "services" in changes:
        stack = replace(stack, facts={"services": changes["services"]})
    return replace(manifest, images=images, models=models, stack=stack)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source}: {row.case}")
def test_a_survey_is_read_as_it_was_written(row):
    assert survey.parse_survey(survey.dump_survey(row.host)) == row.host


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source}: {row.case}")
def test_a_redacted_survey_is_judged_the_same(row):
    by_uuid = row.needs and any(
        "GPU-" in name for s in row.needs.services if s.gpu for name in s.gpu.ids
    )
    before = check_host(row.needs, row.host)
    after = check_host(row.needs, survey.redact(row.host))

    if not by_uuid and "ports" not in row.source:
        assert [(f.level, f.slug) for f in after] == [(f.level, f.slug) for f in before]


def test_a_redacted_survey_names_nobody():
    secret = (
        "gpu07 gpu07.corp.example 10.1.2.3 fe80::1:2 aa:bb:cc:dd:ee:ff /home/alice/x "
        "MIG-11111111-2222-3333-4444-555555555555"
    )
    host = a_host(
        gpus=(a_gpu(uuid="GPU-of-alice"),),
        name="gpu07.corp.example",
        driver={"fault": Fault("unknown-error", secret)},
        engine={"data_root": "/home/alice/docker"},
        machine={"ports": (ListeningPort(1, address="10.1.2.3", owner="alice"),)},
    )

    text = survey.dump_survey(survey.redact(host)).decode()

    for word in ("gpu07", "corp", "10.1.2.3", "fe80", "aa:bb", "alice", "11111111"):
        assert word not in text
    assert "00000000-0000" not in text
    assert '"0000:01:00.0"' in text
    assert '"580.95.05"' in text


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"[]", ManifestError),
        (b"{}", ManifestError),
        (b'{"format": 2, "type": "sealift-survey"}', FormatVersionError),
        (b'{"format": true, "type": "sealift-survey"}', FormatVersionError),
        (b'{"format": 1, "type": "sealift-survey"}', ManifestError),
        (b'{"format": 1, "host": {}, "type": "sealift-survey"}', ManifestError),
        (b'{"format": 1, "format": 1}', ManifestError),
        (b'{"format": 1.5}', ManifestError),
    ],
)
def test_what_is_no_survey_is_refused(data, error):
    with pytest.raises(error):
        survey.parse_survey(data)


def test_a_survey_with_an_unknown_field_is_refused():
    value = json.loads(survey.dump_survey(a_host()))
    value["host"]["driver"]["colour"] = "red"

    with pytest.raises(ManifestError, match="colour"):
        survey.parse_survey(json.dumps(value).encode())


def test_notes_of_a_manifest_are_read_as_they_were_written():
    image = an_image(compat=(compat("575.57.08", drivers=(535,), brands=(1, 2)),))
    service = a_service(
        name=golden().stack.services[0].name,
        tensor_parallel=2,
        ports=(PublishedPort(8000),),
    )
    manifest = with_notes(
        image=json.loads(json.dumps(notes.image_needs_facts(image))),
        model=json.loads(json.dumps(notes.model_needs_facts(LLAMA_8B))),
        services=json.loads(json.dumps(notes.service_needs_facts([service]))),
    )

    needs = notes.needs_of(manifest)

    entry = manifest.images[0]
    own = {"name": entry.name, "platform": entry.platform, "archive_size": entry.size}
    unpacked = sum(layer.diff_size for layer in entry.layers)
    assert needs.images[0] == replace(image, **own, unpacked_size=unpacked)
    assert needs.models[0] == replace(LLAMA_8B, name=manifest.models[0].name)
    found = next(s for s in needs.services if s.name == service.name)
    link = manifest.stack.services[0]
    assert found == replace(service, image=link.image, models=link.models)
    assert needs.unread == ()


def test_unknown_notes_are_passed_over():
    manifest = with_notes(
        image={"colour": 1}, model={"colour": 1}, services=[{"colour": 1}]
    )

    needs = notes.needs_of(manifest)

    assert needs.unread == ()
    assert needs.images[0].cuda is None


@pytest.mark.parametrize(
    ("change", "unread"),
    [
        ({"image": {"cuda": 12}}, "facts.gpu.cuda"),
        ({"image": {"compat": [{"path": 1}]}}, "facts.gpu.compat"),
        ({"image": {"builds": [{"version": "1"}]}}, "facts.gpu.builds"),
        ({"image": {"requires": {"a": "b"}}}, "facts.gpu.requires"),
        ({"image": []}, "facts.gpu"),
        ({"model": {"layers": "32"}}, "facts.serving.layers"),
        ({"model": {"layers": True}}, "facts.serving.layers"),
        ({"services": {}}, "stack.facts.services"),
        ({"services": [1]}, "stack.facts.services[0]"),
        ({"services": [{"wants_gpu": 1}]}, "stack.facts.services[0].wants_gpu"),
    ],
)
def test_a_note_of_a_wrong_type_is_unknown_and_named(change, unread):
    needs = notes.needs_of(with_notes(**change))

    (name,) = needs.unread
    assert name.endswith(unread)
    found = check_host(needs, a_host())
    assert "needs-unread" in {finding.slug for finding in found}


def test_what_has_no_notes_is_unknown_and_not_guessed():
    manifest = golden()
    manifest = replace(
        manifest,
        images=(replace(manifest.images[0], facts={}),),
        models=(replace(manifest.models[0], facts={}),),
        stack=None,
    )

    needs = notes.needs_of(manifest)

    image, model = needs.images[0], needs.models[0]
    assert (image.cuda, image.requires, image.builds) == (None, None, None)
    assert (model.weights_size, model.layers, model.sizes) == (None, None, None)


def test_sizes_come_from_the_manifest_and_not_from_notes():
    lie = {"archive_size": 1, "unpacked_size": 1, "name": "x", "platform": "y"}
    manifest = with_notes(image=lie)

    image = notes.needs_of(manifest).images[0]

    assert image.archive_size == manifest.images[0].size
    assert image.name == manifest.images[0].name
    assert image.platform == manifest.images[0].platform


def test_the_tables_have_a_source_and_a_date_each():
    value = json.loads(TABLES_FILE.read_text())
    names = {key for key, table in value.items() if isinstance(table, dict)}

    assert {source.table for source in tables.default_tables().sources} == names


def broken(path: str, new) -> bytes:
    """Return the tables with one thing changed, by its path."""
    value = json.loads(TABLES_FILE.read_text())
    *places, last = path.split("/")
    inner = value
    for place in places:
        inner = inner[int(place) if place.isdigit() else place]
    inner[int(last) if last.isdigit() else last] = new
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("type", "x"),
        ("branches/rows/3/cuda", "x"),
        ("branches/rows/3/cuda", "99.0"),
        ("branches/rows/3/branch", 1),
        ("branches/rows/3/colour", "red"),
        ("branches/rows/14/end_of_life", "soon"),
        ("branches/source", ""),
        ("branches/as_of", "today"),
        ("branches/colour", "red"),
        ("gpus/rows/0/pattern", "("),
        ("gpus/rows/0/kind", "toy"),
        ("gpus/rows/0/capability", "ten"),
        ("architectures/rows/0/modules", "none"),
        ("minor_version/rows/0/driver", "new"),
        ("toolkit_cves/rows/0/fixed", "never"),
        ("toolkit_cves/rows", {}),
    ],
)
def test_tables_that_cannot_be_right_are_refused(path, new):
    with pytest.raises(ManifestError):
        tables.parse_tables(broken(path, new))


def test_tables_of_another_format_are_refused():
    with pytest.raises(FormatVersionError):
        tables.parse_tables(broken("format", 2))


def test_newer_tables_count_where_they_are_passed_in():
    newer = tables.parse_tables(broken("toolkit_cves/rows/7/fixed", "1.30.0"))

    found = check_host(None, a_host(), newer)

    assert "toolkit-cve" in {finding.slug for finding in found}


def test_the_day_is_that_of_the_tables_where_the_clock_is_behind():
    later = tables.parse_tables(broken("as_of", "2027-05-01"))
    host = a_host("595.71.05")

    assert check_host(None, host) == ()
    found = [f.slug for f in check_host(None, host, later)]
    assert found == ["clock-behind", "driver-end-of-life"]


def test_holes_that_cdi_does_not_have_are_not_told_of_cdi():
    form = GpuRequest("devices", ids=("nvidia.com/gpu=all",))
    spec = CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("all",), ("580.95.05",))
    host = a_host(toolkit={"version": "1.16.1"}, cdi_specs=(spec,))

    def holes(service) -> str:
        found = check_host(a_bundle(None, service), host)
        return next(f.measured for f in found if f.slug == "toolkit-cve")

    assert "CVE-2024-0132" in holes(a_service())
    assert "CVE-2024-0132" not in holes(a_service(gpu=form))
    assert "CVE-2025-23266" in holes(a_service(gpu=form))
    assert "CVE-2026-24260" in holes(a_service(gpu=form))


def test_the_tables_are_read_from_inside_a_zip():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        package = Path(tables.__file__).parent.parent
        for path in sorted(package.rglob("*")):
            if path.suffix in (".py", ".json"):
                archive.write(path, path.relative_to(package.parent))
    program = (
        "import sys; sys.path[0] = sys.argv[1]\n"
        "from sealift_manifests.preflight.check import check_host\n"
        "from sealift_manifests.preflight.survey import parse_survey\n"
        "print(len(check_host(None, parse_survey(sys.stdin.buffer.read()))))\n"
    )
    host = a_host("570.124.06")

    done = run_in_zip(packed.getvalue(), program, survey.dump_survey(host))

    assert done == f"{len(check_host(None, host))}\n"


def run_in_zip(data: bytes, program: str, stdin: bytes) -> str:
    """Run a program that finds its modules in a zip, and nowhere else."""
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(data)
        file.flush()
        argv = [sys.executable, "-I", "-c", program, file.name]
        return subprocess.run(
            argv, input=stdin, capture_output=True, check=True
        ).stdout.decode()


def test_the_page_lists_every_slug_with_its_levels_meaning_and_remedy():
    page = (ROOT / "manifests" / "PREFLIGHT.md").read_text()

    for kind in KINDS.values():
        levels = ", ".join(kind.levels)
        remedy = kind.remedy.replace("|", "\\|")
        assert f"| `{kind.slug}` | {levels} | {kind.meaning} | {remedy} |" in page


def test_the_page_lists_what_is_never_accepted_and_every_source():
    page = (ROOT / "manifests" / "PREFLIGHT.md").read_text()

    _, _, never = page.partition("## Never accepted")
    for slug in NEVER_ACCEPTED:
        assert f"`{slug}`" in never
    for source in tables.default_tables().sources:
        assert f"| `{source.table}` | {source.as_of} | {source.source} |" in page
