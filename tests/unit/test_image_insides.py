"""What is inside of an image is seen while its layers stream by, and nothing else."""

from __future__ import annotations

import io
import tarfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_insides import (
    LIB_575,
    NOTE_575,
    a_tar,
    compat_library,
    elf_library,
    elf_note,
    needs_of_layers,
)
from sealift_bundler.insides.elfnote import CompatNote, read_compat_note
from sealift_bundler.insides.layers import LayerWatch
from sealift_bundler.insides.tarwatch import Member, TarWatch
from sealift_manifests.preflight.needs import CompatLibrary

NOTE = CompatNote(tuple(NOTE_575["driver"]), tuple(NOTE_575["device"]), "12.9")


# The tar


def entries(data: bytes, piece: int) -> tuple[list[tuple[str, str, bytes]], bool]:
    """Return what a watch saw of a tar that came in pieces."""
    seen: list[tuple[str, str, io.BytesIO]] = []

    def on_member(member: Member) -> io.BytesIO:
        kept = io.BytesIO()
        kept.close = lambda: None  # type: ignore[method-assign]
        seen.append((member.path, member.kind, kept))
        return kept

    watch = TarWatch(on_member)
    for start in range(0, len(data), piece):
        watch.feed(data[start : start + piece])
    return [(path, kind, kept.getvalue()) for path, kind, kept in seen], watch.finish()


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.text("abcd\u00e9/", min_size=1, max_size=300).filter(
            lambda name: name.strip("/")
        ),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    content=st.binary(max_size=3000),
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    piece=st.integers(1, 3000),
)
def test_a_tar_is_followed_whatever_the_pieces_and_the_form(
    names, content, form, piece
):
    data = a_tar({name.strip("/"): content for name in names}, form=form)

    seen, whole = entries(data, piece)

    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [
            (
                "/".join(part for part in member.name.split("/") if part),
                "file",
                tar.extractfile(member).read(),
            )
            for member in tar
        ]
    assert whole
    assert seen == expected


@given(st.binary(max_size=3000))
def test_what_is_no_tar_raises_nothing(noise):
    _, followed = entries(noise, 100)

    # A block of zeros is the end of a tar, whatever comes after it.
    assert followed == (not noise or (len(noise) >= 512 and not any(noise[:512])))


@given(st.integers(0, 4000))
def test_a_tar_that_ends_within_a_member_is_told(cut):
    whole = a_tar({"a": b"x" * 1000, "b": b"y"})

    _, followed = entries(whole[:cut], 100)

    assert followed == (cut in (0, 1536, 2560) or cut >= 3072)


@given(st.integers(0, 511), st.integers(1, 255))
def test_a_header_that_does_not_add_up_is_told(at, change):
    whole = bytearray(a_tar({"a": b"x" * 1000}))
    whole[at] ^= change

    seen, followed = entries(bytes(whole), 100)

    # The sum is also taken from the field that holds it, where spelling is free.
    assert (not followed and not seen) or 148 <= at < 156


def test_a_cut_tar_makes_the_inside_unknown_and_not_empty():
    tar = a_tar({LIB_575: compat_library()})

    needs = needs_of_layers(tar[:20_000])

    assert needs.compat is None
    assert needs.builds is None


def test_memory_does_not_grow_with_the_layer():
    watch = LayerWatch()
    head = tarfile.TarInfo("usr/lib/huge.bin")
    head.size = 256 << 20
    head_bytes = head.tobuf(tarfile.PAX_FORMAT)
    piece = bytes(1 << 20)

    tracemalloc.start()
    watch.feed(head_bytes)
    for _ in range(256):
        watch.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert watch.view().whole
    assert peak < 4 << 20


# The ELF note


@pytest.mark.parametrize("align", [4, 8])
def test_the_note_of_a_compat_library_is_read(align):
    note = elf_note(NOTE_575, align=align)
    library = elf_library({b".note.cuda.fwd_compatibility": note})

    assert read_compat_note(io.BytesIO(library)) == NOTE


@pytest.mark.parametrize(
    "library",
    [
        b"",
        b"\x7fELF",
        elf_library(),
        elf_library({b".note.gnu.build-id": elf_note(NOTE_575)}),
        elf_library({b".note.cuda.fwd_compatibility": b""}),
        elf_library(
            {b".note.cuda.fwd_compatibility": elf_note(NOTE_575, owner=b"GNU")}
        ),
        compat_library({**NOTE_575, "format": 2}),
        compat_library([1]),
        compat_library()[:-700],
    ],
)
def test_a_library_without_a_good_note_has_none(library):
    assert read_compat_note(io.BytesIO(library)) is None


@given(st.integers(0, 63), st.binary(min_size=1, max_size=8))
def test_an_elf_head_with_any_numbers_raises_nothing(at, noise):
    library = bytearray(compat_library())
    library[at : at + len(noise)] = noise

    read_compat_note(io.BytesIO(bytes(library)))


@pytest.mark.parametrize("bad", [1 << 60, -1, "570", True])
def test_numbers_that_are_no_branches_leave_the_drivers_unknown(bad):
    library = compat_library({**NOTE_575, "driver": [550, bad]})

    note = read_compat_note(io.BytesIO(library))

    assert note == CompatNote(None, NOTE.brands, "12.9")


# Layers over each other


def test_a_compat_library_is_found_with_its_note_and_forced_by_nothing():
    needs = needs_of_layers(a_tar({f"./{LIB_575}": compat_library()}))

    assert needs.compat == (
        CompatLibrary(
            f"/{LIB_575}", "575.57.08", NOTE.drivers, NOTE.brands, "12.9", ()
        ),
    )


def forced(*layers: bytes, **environment: str) -> tuple[str, ...] | None:
    (library,) = needs_of_layers(*layers, **environment).compat or ()
    return library.forced_by


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/usr/local/cuda-12.9/compat", True),
        ("/usr/local/cuda-12.9/compat/", True),
        ("/usr/local/cuda-12/compat", True),
        ("/usr/local/cuda/compat", True),
        ("/usr/local/cuda-12.8/compat", False),
        ("/usr/local/cuda-1/compat", False),
        ("/usr/local/cuda/compat/lib", False),
        ("/usr/local/cuda/lib64", False),
        ("", False),
    ],
)
def test_a_library_path_that_names_its_folder_forces_it(folder, expected):
    library = a_tar({LIB_575: compat_library()})
    conf = a_tar({"etc/ld.so.conf.d/00-cuda-compat.conf": f"{folder}\n".encode()})

    assert forced(library, conf) == (("ld.so.conf",) if expected else ())
    path = f"/usr/lib:{folder}"
    by_path = forced(library, LD_LIBRARY_PATH=path)
    assert by_path == (("LD_LIBRARY_PATH",) if expected else ())


CONF = {"etc/ld.so.conf.d/00-compat.conf": b"# on\n/usr/local/cuda-12.9/compat\n"}


@pytest.mark.parametrize(
    "upper",
    [
        a_tar({"etc/ld.so.conf.d/.wh.00-compat.conf": b""}),
        a_tar({"etc/.wh.ld.so.conf.d": b""}),
        a_tar({"etc/ld.so.conf.d/.wh..wh..opq": b""}),
        a_tar({"etc/ld.so.conf.d/00-compat.conf": b"# off\n"}),
        a_tar(links={"etc/ld.so.conf.d": "/dev/null"}),
        a_tar(links={"etc/ld.so.conf.d/00-compat.conf": "/dev/null"}),
        a_tar(folders=("etc/ld.so.conf.d/00-compat.conf",)),
    ],
)
def test_what_an_upper_layer_takes_away_counts_no_more(upper):
    lower = a_tar({LIB_575: compat_library(), **CONF})

    assert forced(lower) == ("ld.so.conf",)
    assert forced(lower, upper) == ()
    assert forced(upper, lower) == ("ld.so.conf",)


@pytest.mark.parametrize(
    "upper",
    [
        a_tar({"usr/local/cuda-12.9/compat/.wh.libcuda.so.575.57.08": b""}),
        a_tar({"usr/local/.wh.cuda-12.9": b""}),
        a_tar({".wh..wh..opq": b""}),
        a_tar(links={"usr/local/cuda-12.9/compat": "/gone"}),
    ],
)
def test_a_compat_library_that_was_removed_is_not_there(upper):
    lower = a_tar({LIB_575: compat_library()})

    assert needs_of_layers(lower, upper).compat == ()


def test_a_whiteout_hides_lower_layers_and_not_its_own():
    lower = a_tar({LIB_575: elf_library()})
    upper = a_tar(
        {
            "usr/local/cuda-12.9/.wh..wh..opq": b"",
            "usr/local/cuda-12.9/compat/libcuda.so.580.65.06": elf_library(),
        }
    )

    (library,) = needs_of_layers(lower, upper).compat or ()

    assert library.version == "580.65.06"
    assert library.drivers is None


def test_links_beside_the_library_are_not_libraries():
    folder = LIB_575.rpartition("/")[0]
    links = {
        f"{folder}/libcuda.so.1": "libcuda.so.575.57.08",
        f"{folder}/libcuda.so": "libcuda.so.1",
    }

    needs = needs_of_layers(a_tar({LIB_575: compat_library()}, links=links))

    assert [each.version for each in needs.compat or ()] == ["575.57.08"]


def test_an_image_without_any_of_it_is_known_to_have_none():
    needs = needs_of_layers(a_tar({"etc/passwd": b"root"}))

    assert (needs.compat, needs.builds, needs.cuda) == ((), (), "")


def test_the_environment_tells_what_nvidias_images_demand():
    needs = needs_of_layers(
        CUDA_VERSION="12.9.1",
        NVIDIA_REQUIRE_CUDA="cuda>=12.9",
        NVIDIA_DISABLE_REQUIRE="1",
        NVIDIA_VISIBLE_DEVICES="all",
        SECRET="not copied",
    )

    assert needs.cuda == "12.9.1"
    assert [each.value for each in needs.requires or ()] == ["cuda>=12.9"]
    assert (needs.disable_require, needs.visible_devices) == ("1", "all")
