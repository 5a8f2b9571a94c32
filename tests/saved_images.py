"""Archives of images, made by hand as engines save them, and a store for layers."""

import gzip
import io
import json
import tarfile

from sealift_bundler.engine.archive import (
    members_of,
    read_archive,
)
from sealift_bundler.engine.save import (
    EngineImage,
    understand,
)
from sealift_manifests.digests import digest_of

EXAMPLE = "example/app:1"


class MemoryStore:
    """Keeps what it is given, and how often it was asked."""

    def __init__(self):
        self.blobs = {}
        self.calls = 0

    def __call__(self, stream):
        data = b"".join(iter(lambda: stream.read(1 << 16), b""))
        self.calls += 1
        self.blobs[digest_of(data)] = data
        return digest_of(data), len(data)


def a_layer(text, name="file"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return out.getvalue()


def a_tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def a_config(layers, architecture="amd64"):
    return json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(x) for x in layers]},
        }
    ).encode()


def blob(data):
    return {"digest": digest_of(data), "size": len(data)}


def name(data):
    return f"blobs/sha256/{digest_of(data).hex}"


def sent(data):
    """Return the members of an archive that arrives in odd pieces."""
    return members_of(
        (data[at : at + 9973] for at in range(0, len(data), 9973)), EXAMPLE
    )


class Image:
    """An image as a containerd store saves it: packed layers, index, manifest.json."""

    def __init__(self, *texts, pack=lambda data: gzip.compress(data, mtime=0)):
        self.plain = [a_layer(text) for text in texts]
        self.packed = [pack(data) for data in self.plain]
        self.config = a_config(self.plain)
        self.manifest = json.dumps(
            {"config": blob(self.config), "layers": [blob(x) for x in self.packed]}
        ).encode()
        self.files = {
            **{name(x): x for x in (*self.packed, self.config, self.manifest)},
            "index.json": json.dumps({"manifests": [blob(self.manifest)]}).encode(),
            "manifest.json": json.dumps(
                [{"Config": name(self.config), "Layers": list(map(name, self.packed))}]
            ).encode(),
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        }

    def read(self, engine_id=None, platform="linux/amd64", store=None):
        """Take the archive apart as if the engine had sent it."""
        store = store or MemoryStore()
        archive = read_archive(sent(a_tar(self.files)), store, EXAMPLE)
        described = EngineImage(
            EXAMPLE, engine_id or digest_of(self.manifest), platform, (), 0
        )
        return understand(archive, described, platform, store)
