"""What an auditor settles with OpenSSH, OpenSSL, coreutils and zstd, without us."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hubserver import HubServer
from making import (
    NO_ENGINE,
    PYZ,
    Host,
    Outcome,
    a_spec,
    copied,
    flip,
    model_files,
    run,
    sealift,
    write_files,
)
from mixed import mixed_model
from sealift_manifests.digests import digest_of

NAMESPACE = "sealift-bundle@v1"
SIGNERS = {"release": "ed25519", "fips": "p384"}


@dataclass(frozen=True)
class Carried:
    """A bundle that two keys signed, and what came by another way: their public halves.

    `slip` is the allowed_signers file made of what `sealift keygen` printed.
    """

    bundle: Path
    slip: Path
    keys: Path

    def but(self, bundle: Path) -> Carried:
        """The same with another copy of the bundle."""
        return Carried(bundle, self.slip, self.keys)


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carried]:
    root = tmp_path_factory.mktemp("host-tools")
    slip = root / "allowed_signers"
    with slip.open("w") as file:
        for name, kind in SIGNERS.items():
            words = ["keygen", root / name, "--no-passphrase", "--algorithm", kind]
            file.write(sealift(*words).expect(0).out.splitlines()[-1] + "\n")
    files = mixed_model() | {"sub dir/b\u00e9ta (1).txt": b"spaces and letters\n"}
    write_files(root / "spec/local", files)
    hub_model = {"huggingface": "acme/tiny", "revision": "v1", "layout": "hf-cache"}
    models = {"flat": {"path": "local"}, "cache": hub_model}
    spec = a_spec(root / "spec", "audited", models=models)
    with HubServer({}) as hub:
        hub.commit("acme/tiny", model_files(), name="v1")
        keys = [word for name in SIGNERS for word in ("--sign-key", root / name)]
        sealift(
            *("build", spec, "-q", "-o", root / "out", "--cache", root / "cache"),
            *keys,
            env={"HF_ENDPOINT": hub.endpoint, "HF_HOME": f"{root}/hf", "HF_TOKEN": ""},
        ).expect(0)
    yield Carried(root / "out/audited-1.0.0", slip, root)


@pytest.fixture
def copy(carried: Carried, tmp_path: Path) -> Carried:
    """A copy that a test may damage."""
    return carried.but(copied(carried.bundle, tmp_path))


def by_ssh_keygen(carried: Carried, signer: str) -> Outcome:
    words = ["-f", carried.slip, "-I", signer, "-n", NAMESPACE]
    return run(
        ["ssh-keygen", "-Y", "verify", *words, "-s", f"SHA256SUMS.{signer}.sig"],
        stdin=(carried.bundle / "SHA256SUMS").read_bytes(),
        cwd=carried.bundle,
    )


def by_openssl(carried: Carried) -> Outcome:
    words = ["-verify", carried.keys / "fips.pem"]
    words += ["-signature", "SHA256SUMS.fips.p384.sig", "SHA256SUMS"]
    return run(["openssl", "dgst", "-sha384", *words], cwd=carried.bundle)


def by_sha256sum(carried: Carried) -> Outcome:
    return run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=carried.bundle)


def host_tools(carried: Carried) -> dict[str, int]:
    """Return how each of the host's own tools ends."""
    return {
        "ssh-keygen, Ed25519": by_ssh_keygen(carried, "release").code,
        "ssh-keygen, P-384": by_ssh_keygen(carried, "fips").code,
        "openssl, P-384": by_openssl(carried).code,
        "sha256sum": by_sha256sum(carried).code,
    }


def by_sealift(carried: Carried) -> Outcome:
    return sealift("verify", carried.bundle, "--allowed-signers", carried.slip)


def test_every_host_tool_accepts_a_good_bundle(carried):
    assert set(host_tools(carried).values()) == {0}
    assert "OK" in by_openssl(carried).out
    by_sealift(carried).expect(0, "good: audited 1.0.0")


def test_sha256sum_covers_every_file_that_is_not_a_signature(carried):
    checked = {line.split(":")[0] for line in by_sha256sum(carried).out.splitlines()}

    names = {path.name for path in carried.bundle.iterdir()}
    assert checked == {name for name in names if not name.startswith("SHA256SUMS")}


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("SHA256SUMS", {"ssh-keygen, Ed25519", "ssh-keygen, P-384", "openssl, P-384"}),
        ("SHA256SUMS.release.sig", {"ssh-keygen, Ed25519"}),
        ("SHA256SUMS.fips.sig", {"ssh-keygen, P-384"}),
        ("SHA256SUMS.fips.p384.sig", {"openssl, P-384"}),
        ("manifest.json", {"sha256sum"}),
        ("index.json", {"sha256sum"}),
        ("INSTALL.md", {"sha256sum"}),
        (PYZ, {"sha256sum"}),
        ("weights-flat.sha256", {"sha256sum"}),
        ("data-0001.pack", {"sha256sum"}),
    ],
)
def test_one_changed_bit_is_refused_by_a_host_tool_and_by_sealift(copy, name, who):
    flip(copy.bundle / name)

    refused = {tool for tool, code in host_tools(copy).items() if code != 0}

    assert who <= refused
    assert 10 <= by_sealift(copy).code <= 15


def test_a_key_that_did_not_sign_is_refused(copy, tmp_path):
    sealift("keygen", tmp_path / "release", "--no-passphrase").expect(0)
    public = (tmp_path / "release.pub").read_text()
    stranger = tmp_path / "allowed_signers"
    stranger.write_text(f'release namespaces="{NAMESPACE}" {public}')

    other = Carried(copy.bundle, stranger, copy.keys)

    assert by_ssh_keygen(other, "release").code != 0
    by_sealift(other).expect(11)


def commands(carried: Carried, start: str, end: str) -> list[str]:
    """Return the indented lines of a part of the guide, for places of this test."""
    part = (carried.bundle / "INSTALL.md").read_text().partition(start)[2]
    block = [x[4:] for x in part.partition(end)[0].splitlines() if x[:4] == " " * 4]
    text = "\n".join(block).replace("KEY.pem", str(carried.keys / "fips.pem"))
    return text.replace("/etc/sealift/allowed_signers", str(carried.slip)).split("\n")


def test_the_commands_of_the_guide_work_as_they_stand(carried):
    script = "\n".join(commands(carried, "## 2.", "A bundle in one"))

    done = run(["sh", "-eux", "-c", script], cwd=carried.bundle).expect(0)

    assert done.err.count("+ ssh-keygen") == 2
    assert done.err.count("+ openssl") == done.err.count("+ sha256sum") == 1


def test_the_guide_settles_the_installer_in_a_tar_without_unpacking_the_packs(
    carried, tmp_path
):
    words = ["-C", carried.bundle.parent, carried.bundle.name]
    run(["tar", "-cf", tmp_path / "BUNDLE.tar", *words]).expect(0)
    unpack = commands(carried, "A bundle in one", "## 3.")
    check = commands(carried, "## 2.", "A bundle in one")
    script = "\n".join([*unpack, *check]).replace("-c ", "-c --ignore-missing ")

    run(["sh", "-eux", "-c", script], cwd=tmp_path).expect(0)

    assert (tmp_path / PYZ).exists()
    assert not list(tmp_path.glob("*.pack"))


def test_the_guide_settles_installed_weights_without_our_code(carried, tmp_path):
    host = Host(tmp_path, carried.bundle / PYZ, engine=NO_ENGINE)
    host.run("install", carried.bundle, "--allowed-signers", carried.slip).expect(0)
    text = "\n".join(commands(carried, "Without our code:", "## When"))
    script = text.replace("/var/lib/sealift", str(host.state))

    good = run(["sh", "-eux", "-c", script])
    file = next((host.state / "volumes/flat").glob("*/*/*.txt"))
    file.chmod(0o644)
    file.write_bytes(b"other")
    bad = run(["sh", "-eux", "-c", script])

    assert good.expect(0).err.count("+ sha256sum") == 3
    assert bad.code != 0 and "FAILED" in bad.out


def test_zstd_decodes_a_chunk_that_dd_cuts_out_of_a_pack(carried):
    index = json.loads((carried.bundle / "index.json").read_bytes())
    chunks = [chunk for chunk in index["chunks"] if chunk["codec"] == "zstd"]

    assert chunks
    for chunk in chunks:
        pack = carried.bundle / index["packs"][chunk["pack"]]["name"]
        where = f"skip={chunk['offset']} count={chunk['stored_size']}"
        cut = f"dd if='{pack}' bs=1 status=none {where}"
        done = run(["sh", "-c", f"{cut} | zstd -dc | sha256sum; {cut} | sha256sum"])
        plain, stored = (line.split()[0] for line in done.expect(0).out.splitlines())
        assert f"sha256:{plain}" == chunk["digest"]
        assert f"sha256:{stored}" == chunk["stored_digest"]


@pytest.fixture
def host(carried: Carried, tmp_path: Path) -> Host:
    host = Host(tmp_path / "host", carried.bundle / PYZ, engine=NO_ENGINE)
    host.run("install", carried.bundle, "--allowed-signers", carried.slip).expect(0)
    return host


def installed_tree(host: Host, model: str) -> Path:
    (tree,) = (host.state / "volumes" / model).iterdir()
    return tree


@pytest.mark.parametrize(("model", "files"), [("flat", 6), ("cache", 4)])
def test_installed_weights_are_checked_with_sha256sum(host, model, files):
    tree = installed_tree(host, model)
    listing = host.state / f"current/audited/weights-{model}.sha256"
    check = ["sha256sum", "-c", "--strict", listing]

    good = run(check, cwd=tree).expect(0)
    weights = next(tree.rglob("model.safetensors")).resolve()
    flip(weights)
    bad = run(check, cwd=tree)

    assert good.out.count(": OK") == files
    assert bad.code != 0
    assert "model.safetensors: FAILED" in bad.out
    host.run("audit").expect(50, f"changed: model {model}", f": {weights}")


def test_the_signed_files_of_a_release_are_checked_with_host_tools(host, carried):
    release = carried.but(host.state / "current/audited")
    check = ["sha256sum", "-c", "--strict", "--ignore-missing", "SHA256SUMS"]

    run(check, cwd=release.bundle).expect(0, "manifest.json: OK")
    assert by_ssh_keygen(release, "release").code == 0
    assert by_openssl(release).code == 0


def test_the_digest_of_an_installed_tree_is_that_of_its_list(host):
    for model in ("flat", "cache"):
        listing = host.state / f"current/audited/weights-{model}.sha256"

        assert installed_tree(host, model).name == digest_of(listing.read_bytes()).hex


def test_every_tool_that_is_used_here_is_there():
    tools = ("ssh-keygen", "openssl", "sha256sum", "dd", "zstd")

    assert [tool for tool in tools if not shutil.which(tool)] == [], os.environ["PATH"]
