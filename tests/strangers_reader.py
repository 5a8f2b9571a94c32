"""A reader of bundles made from manifests/FORMAT.md alone, with none of our code.

It shows that the document says enough. The numbers in comments are its sections.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import strangers_volumes
import zstandard
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from strangers_settings import check_site, need
from strangers_smoke import check_smoke

CHUNK = 8 << 20
OUTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?<!\.)\Z")
Files = dict[str, tuple[Path, int, int]]
"""Where each file lies: in which file on disk, from where, how many bytes."""


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def text_of(field: bytes) -> str:
    text = field.rstrip(b"\0").decode("ascii")
    need("\0" not in text, "NUL in a name")
    return text


def octal(field: bytes) -> int:
    digits = field.rstrip(b" \0").decode("ascii")
    need(re.fullmatch("[0-7]+", digits), "not octal")
    return int(digits, 8)


def in_tar(path: Path) -> Files:  # 3
    files: Files = {}
    folders, names, at = set(), set(), 0
    with path.open("rb") as archive:
        while (head := archive.read(512)) != bytes(512):
            need(len(head) == 512 and head[257:263] == b"ustar\0", "not ustar")
            plain = sum(head) - sum(head[148:156]) + 8 * 32
            need(octal(head[148:156]) == plain, "tar checksum")
            need(head[156:157] in (b"0", b"\0"), "not a regular file")
            name, prefix = text_of(head[:100]), text_of(head[345:500])
            folder, _, base = (f"{prefix}/{name}" if prefix else name).rpartition("/")
            folders.add(folder)
            need(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,154}", folder), folder)
            need(OUTER.match(base) and base.lower() not in names, base)
            need(len(folders) == 1, "two folders")
            names.add(base.lower())
            big = head[124] == 0x80
            size = int.from_bytes(head[125:136], "big") if big else octal(head[124:136])
            files[base] = (path, at + 512, size)
            at += 512 + size + -size % 512
            need(at + 512 <= path.stat().st_size, "cut short")
            archive.seek(at)
    return files


def find(path: Path) -> Files:  # 3
    if path.is_file():
        return in_tar(path)
    plain = [e for e in os.scandir(path) if e.is_file(follow_symlinks=False)]
    return {e.name: (Path(e.path), 0, e.stat().st_size) for e in plain}


def read(files: Files, name: str, start: int, size: int) -> bytes:
    need(name in files, f"{name} is missing")
    path, offset, total = files[name]
    need(start + size <= total, f"{name} is too short")
    with path.open("rb") as stream:
        stream.seek(offset + start)
        data = stream.read(size)
    need(len(data) == size, f"{name} is cut short")
    return data


def whole(files: Files, name: str, limit: int) -> bytes:
    need(name in files and files[name][2] <= limit, f"{name} missing or too large")
    return read(files, name, 0, files[name][2])


def strings(data: bytes) -> Iterator[bytes]:  # 5
    while data:
        need(len(data) >= 4, "cut")
        size = int.from_bytes(data[:4], "big")
        need(4 + size <= len(data), "cut")
        yield data[4 : 4 + size]
        data = data[4 + size :]


def mpint(data: bytes) -> int:
    value = int.from_bytes(data, "big", signed=True)
    need(value > 0 and len(data) == value.bit_length() // 8 + 1, "mpint")
    return value


def signer_of(armored: bytes, sums: bytes) -> bytes | None:  # 5
    """Return the key blob that signed the list; None for other types of keys."""
    begin, end = (b"-----%s SSH SIGNATURE-----" % word for word in (b"BEGIN", b"END"))
    lines = armored.removesuffix(b"\n").split(b"\n")
    need(lines[0] == begin and lines[-1] == end and all(lines), "armor")
    text = b"".join(lines[1:-1])
    blob = base64.b64decode(text, validate=True)
    need(base64.b64encode(blob) == text and len(armored) <= 16 << 10, "base64")
    need(blob[:10] == b"SSHSIG" + struct.pack(">I", 1), "SSHSIG")
    key, space, reserved, name, signature = strings(blob[10:])
    need(not reserved and name in (b"sha256", b"sha512"), "reserved or hash")
    kind, *parts = strings(key)
    if kind not in (b"ssh-ed25519", b"ecdsa-sha2-nistp384"):
        return None
    need(space == b"sealift-bundle@v1", "namespace")
    kind_again, body = strings(signature)
    need(kind == kind_again, "types")
    fields = (space, b"", name, hashlib.new(name.decode(), sums).digest())
    data = b"SSHSIG" + b"".join(struct.pack(">I", len(f)) + f for f in fields)
    if kind == b"ssh-ed25519":
        ed25519.Ed25519PublicKey.from_public_bytes(*parts).verify(body, data)
    else:
        curve, point = parts
        need(curve == b"nistp384" and len(point) == 97, "curve")
        r, s = strings(body)
        der = encode_dss_signature(mpint(r), mpint(s))
        check_p384(point, der, data)
    return key


def check_p384(point: bytes, der: bytes, data: bytes) -> None:
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)
    key.verify(der, data, ec.ECDSA(hashes.SHA384()))


def check_signed(files: Files, sums: bytes, trusted: set[bytes]) -> None:  # 5
    counted = set()
    names = [n for n in files if n.startswith("SHA256SUMS.") and n.endswith(".sig")]
    need(len(names) <= 64, "too many signatures")
    for name in sorted(n for n in names if not n.endswith(".p384.sig")):
        key = signer_of(whole(files, name, 16 << 10), sums)
        if key in trusted:
            counted.add(key)
            beside = name.removesuffix(".sig") + ".p384.sig"
            kind, *_, point = strings(key)
            if kind == b"ecdsa-sha2-nistp384" and beside in files:
                check_p384(point, whole(files, beside, 16 << 10), sums)
    need(counted, "no accepted signature")


def parse_sums(data: bytes) -> dict[str, str]:  # 4
    text = data.decode("ascii")
    need(text.endswith("\n"), "no newline at the end")
    rows = [re.fullmatch(r"([0-9a-f]{64})  (.+)", x) for x in text.split("\n")[:-1]]
    need(all(rows), "malformed line")
    names = [row[2] for row in rows if row]
    need(names == sorted(set(names)) and all(map(OUTER.match, names)), "names")
    need(len({n.lower() for n in names}) == len(names), "names differ in case only")
    need(not [n for n in names if re.match(r"sha256sums(\.|\Z)", n, re.I)], "itself")
    return {row[2]: "sha256:" + row[1] for row in rows if row}


def load(data: bytes, *features: str) -> Any:  # 7
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len({key.casefold() for key, _ in pairs}) == len(pairs), "same key twice")
        return dict(pairs)

    def integer(text: str) -> int:
        need(text != "-0" and abs(int(text)) < 2**53, "number")
        return int(text)

    def refuse(text: str) -> None:
        raise ValueError(text)

    value = json.loads(
        data.decode("ascii"),
        object_pairs_hook=unique,
        parse_int=integer,
        parse_float=refuse,
        parse_constant=refuse,
    )
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # no half surrogates
    need(type(value) is dict and type(value.get("format")) is int, "format")
    known = value["format"] == 1 and set(value.get("features", [])) <= set(features)
    need(known, "another reader is needed")
    return value


def unzstd(data: bytes, size: int) -> bytes:  # 10
    header = zstandard.get_frame_parameters(data)
    need(header.content_size == size and not header.dict_id, "frame size")
    need(data[:4] == b"\x28\xb5\x2f\xfd" and header.window_size <= CHUNK, "frame")
    decoder = zstandard.ZstdDecompressor(max_window_size=CHUNK).decompressobj()
    plain = decoder.decompress(data)
    need(decoder.eof and not decoder.unused_data and len(plain) == size, "frame end")
    return plain


def decode(chunk: Mapping[str, Any], stored: bytes) -> bytes:  # 10
    size = chunk["size"]
    if chunk["codec"] == "raw":
        return stored
    if chunk["codec"] == "zstd":
        return unzstd(stored, size)
    need(chunk["codec"] == "shuffle-zstd" and chunk["width"] in (2, 4), "codec")
    width = chunk["width"]
    (n, rest), at, plain = divmod(size, width), 5 * width, bytearray(size)
    for p in range(width):
        kind, length = struct.unpack_from("<BI", stored, 5 * p)
        need(kind in (0, 1), "kind of plane")
        part = stored[at : at + length]
        plane = unzstd(part, n) if kind else part
        need(len(part) == length and len(plane) == n, "length of plane")
        plain[p : n * width : width] = plane
        at += length
    need(len(stored) == at + rest, "length of chunk")
    plain[n * width :] = stored[at:]
    return bytes(plain)


def product(a: int, b: int) -> int:  # 9
    total = 0
    for bit in range(8):
        total ^= a << bit if b >> bit & 1 else 0
    for bit in range(14, 7, -1):
        total ^= 0x11D << bit - 8 if total >> bit & 1 else 0
    return total


def parity_of(packs: list[bytes], j: int) -> bytes:
    """Return the bytes of parity file j of a group of packs."""
    total, size = 0, max(map(len, packs))
    for k, data in enumerate(packs):
        below = (255 - j) ^ k
        c = next(x for x in range(256) if product(x, below) == 255 ^ k)
        times = data.translate(bytes(product(c, value) for value in range(256)))
        total ^= int.from_bytes(times, "little")
    return total.to_bytes(size, "little")


def check_places(index: Mapping[str, Any]) -> None:  # 9
    keys = {"format", "packs", "chunks", "contents"}
    stored = [c for c in index["chunks"] if c["codec"] != "base"]
    left = index["chunks"][len(stored) :]
    delta = "base" in index.get("features", [])
    keys |= {"bases"} if delta else set()
    if "parity" in index.get("features", []):
        keys |= {"parity", "parity_groups"}
    need(set(index) - {"features"} == keys, "keys")
    need(delta == bool(left) == bool(index.get("bases")), "left out without a base")
    need(all(set(c) == {"codec", "digest", "size"} for c in left), "left out")
    need(all(0 < c["size"] <= CHUNK for c in left), "size of chunk")
    places = [(n, pack["size"]) for n, pack in enumerate(index["packs"])]
    at = {n: 0 for n, _ in places}
    for before, chunk in zip([None, *stored], stored, strict=False):
        need(0 < chunk["size"] <= CHUNK, "size of chunk")
        need(not before or before["pack"] <= chunk["pack"], "order of packs")
        need(at.get(chunk["pack"]) == chunk["offset"], "gap or overlap")
        at[chunk["pack"]] += chunk.setdefault("stored_size", chunk["size"])
        need(0 < chunk["stored_size"] <= chunk["size"], "stored size")
        chunk.setdefault("stored_digest", chunk["digest"])
    need(at == dict(places) and all(at.values()), "a pack is not filled")
    need(len({c["digest"] for c in index["chunks"]}) == len(index["chunks"]), "twice")


class Bundle:
    """A bundle whose signature, list, manifest and index are accepted.

    `trusted` are key blobs, as base64 in a .pub file has them. `base` has the plain
    bytes of chunks that a delta leaves out, by digest.
    """

    def __init__(
        self, path: Path, trusted: set[bytes], base: Mapping[str, bytes] | None = None
    ) -> None:
        self.base = base or {}
        self.files = find(path)
        sums = whole(self.files, "SHA256SUMS", 4 << 20)
        check_signed(self.files, sums, trusted)
        self.sums = parse_sums(sums)
        known = ("settings", "smoke", "smoke-secrets", "volumes")
        self.manifest = load(self.document("manifest.json", 256 << 20), *known)
        self.index = load(self.document("index.json", 1 << 30), "base", "parity")
        need(self.manifest["type"] == "sealift-bundle", "type")
        check_smoke(self.manifest)
        check_places(self.index)
        check_site(self.manifest)
        self.contents = {c["digest"]: c for c in self.index["contents"]}
        packs = {pack["name"] for pack in self.index["packs"]}
        need(packs == {n for n in self.sums if n.endswith(".pack")}, "packs")
        wanted = {part["digest"] for part in self.parts().values()}
        need(wanted == set(self.contents), "contents")
        for name in self.sums.keys() - packs:
            self.document(name, 1 << 30)

    def document(self, name: str, limit: int) -> bytes:
        """Return a small file that the list has."""
        data = whole(self.files, name, limit)
        need(digest(data) == self.sums.get(name), f"{name} is not what was signed")
        return data

    def parts(self) -> dict[str, Any]:
        """Return everything in the bundle, by a path of our own."""
        found = {}
        for model in self.manifest.get("models", []):
            listing = self.sums.get(f"weights-{model['name']}.sha256")
            need(listing == model["tree"], "tree")
            found |= {f"models/{model['name']}/{f['path']}": f for f in model["files"]}
        for image in self.manifest.get("images", []):
            blobs = [image["manifest"], image["config"], *image["layers"]]
            found |= {f"images/{image['name']}/{b['digest'][7:]}": b for b in blobs}
        for volume in self.manifest.get("volumes", []):  # 14a
            listing = self.sums[f"volume-{volume['name']}.sha256"]
            files = strangers_volumes.files_of(volume, listing)
            found |= {f"volumes/{volume['name']}/{f['path']}": f for f in files}
        stack = self.manifest.get("stack") or {"files": []}
        return found | {f"stack/{f['path']}": f for f in stack["files"]}

    def plain(self, wanted: str) -> Iterator[bytes]:
        """Yield a content chunk by chunk, each checked before it is decoded."""
        for number in self.contents[wanted]["chunks"]:
            chunk = self.index["chunks"][number]
            if chunk["codec"] == "base":
                data = self.base.get(chunk["digest"], b"")
                need(digest(data) == chunk["digest"], "the base lacks a chunk")
                yield data
                continue
            pack = self.index["packs"][chunk["pack"]]["name"]
            stored = read(self.files, pack, chunk["offset"], chunk["stored_size"])
            need(digest(stored) == chunk["stored_digest"], f"{pack} is damaged")
            yield decode(chunk, stored)

    def check_parity(self) -> int:
        """Compare parity files with what the packs make; return how many there are."""
        packs, files = ([f["name"] for f in self.index[x]] for x in ("packs", "parity"))
        row, groups = [*packs, *files], self.index["parity_groups"]
        for number in range(groups):
            members = [whole(self.files, n, 1 << 30) for n in row[number::groups]]
            parity = members[-(len(files) // groups) :]
            data = members[: -len(parity)]
            for j, made in enumerate(parity):
                need(parity_of(data, j) == made, "parity is not that of the packs")
        return len(files)

    def extract(self, folder: Path) -> None:
        """Write every file; each gets its name when it is whole."""
        for name, part in self.parts().items():
            # Paths come from a signed manifest; section 1 says what else to check.
            need(not {"..", ".", ""} & set(name.split("/")), name)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            state, size = hashlib.sha256(), 0
            with target.with_name("unfinished").open("wb") as out:
                for data in self.plain(part["digest"]):
                    state.update(data)
                    size += out.write(data)
            need("sha256:" + state.hexdigest() == part["digest"], name)
            need(
                size == part.get("size", 0) == self.contents[part["digest"]]["size"],
                name,
            )
            target.with_name("unfinished").rename(target)


def key_blob(line: str) -> bytes:
    """Return the key blob of a line of a .pub file."""
    return base64.b64decode(line.split()[1])
