"""A small Hub-protocol server on loopback, for tests of what talks to a Hub.

Speaks what `huggingface_hub` asks for: repo info, tree, resolve with HEAD, GET and
Range. Large files are served from a second origin, as a Hub's CDN does. It knows no
Xet and no writes. Every request is kept in `requests`.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

Content = bytes | Path
PIECE = 1 << 20
LFS_FROM = 100_000
LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt")


@dataclass(frozen=True)
class Request:
    """What one request said; header names are lowercase."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class ServedFile:
    """A file of a commit, with the digests that a Hub would list for it."""

    content: Content
    size: int
    sha256: str
    git_sha1: str
    lfs: bool

    @classmethod
    def of(cls, path: str, content: Content) -> ServedFile:
        """Measure `content` as a Hub does."""
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        sha256, git_sha1 = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
        git_sha1.update(b"blob %d\0" % size)
        for piece in _pieces(_opened(content)):
            sha256.update(piece)
            git_sha1.update(piece)
        lfs = size >= LFS_FROM or path.endswith(LFS_SUFFIXES)
        return cls(content, size, sha256.hexdigest(), git_sha1.hexdigest(), lfs)

    @property
    def etag(self) -> str:
        """What names the content in the cache of a client."""
        return self.sha256 if self.lfs else self.git_sha1

    def sibling(self, path: str) -> dict[str, object]:
        """The entry of repo info; for LFS the blob id is that of the pointer file."""
        entry: dict[str, object] = {"rfilename": path, "size": self.size}
        if not self.lfs:
            return entry | {"blobId": self.git_sha1}
        pointer = _pointer(self)
        lfs = {"sha256": self.sha256, "size": self.size, "pointerSize": len(pointer)}
        return entry | {"blobId": _git_sha1(pointer), "lfs": lfs}

    def tree_entry(self, path: str) -> dict[str, object]:
        """The entry of the tree API."""
        entry = {"type": "file", "path": path, "size": self.size}
        if not self.lfs:
            return entry | {"oid": self.git_sha1}
        pointer = _pointer(self)
        lfs = {"oid": self.sha256, "size": self.size, "pointerSize": len(pointer)}
        return entry | {"oid": _git_sha1(pointer), "lfs": lfs}


@dataclass
class ServedRepo:
    """The commits of one repo, and which commit each name means."""

    commits: dict[str, dict[str, ServedFile]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, Content], name: str) -> str:
        """Add a commit and let `name` mean it."""
        tree = {path: ServedFile.of(path, data) for path, data in files.items()}
        listing = "".join(f"{p} {f.sha256}\n" for p, f in sorted(tree.items()))
        commit = hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()
        self.commits[commit] = tree
        self.names[name] = commit
        return commit

    def find(self, revision: str) -> str | None:
        """Return the commit that a branch, tag or commit means."""
        commit = self.names.get(revision, revision)
        return commit if commit in self.commits else None


class HubServer:
    """Serve `repos` (repo -> path -> bytes or Path) on loopback while entered.

    Knobs that a test may turn at any time:
    `token`        requests must carry it, else 401
    `gated`        repos whose listing is public and whose files are refused (403)
    `wrong_bytes`  paths served with one byte flipped, at the right size
    `cut_after`    path -> bytes after which the connection is cut, once
    `status`       answer everything with this status
    """

    def __init__(
        self, repos: Mapping[str, Mapping[str, Content]], *, token: str | None = None
    ) -> None:
        self.token = token
        self.gated: set[str] = set()
        self.wrong_bytes: set[str] = set()
        self.cut_after: dict[str, int] = {}
        self.status: int | None = None
        self.requests: list[Request] = []
        self.repos: dict[str, ServedRepo] = {}
        self.lock = threading.Lock()
        for repo, files in repos.items():
            self.commit(repo, files)
        self._http = _Server(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def endpoint(self) -> str:
        """What to use as HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def cdn(self) -> str:
        """The other origin, which large files are redirected to."""
        return f"http://localhost:{self._http.server_port}"

    def commit(
        self, repo: str, files: Mapping[str, Content], *, name: str = "main"
    ) -> str:
        """Add a commit to `repo`, move the branch or tag `name` to it, return it."""
        return self.repos.setdefault(repo, ServedRepo()).commit(files, name)

    def commit_of(self, repo: str, revision: str = "main") -> str:
        """Return what `revision` means now."""
        commit = self.repos[repo].find(revision)
        assert commit is not None
        return commit

    def requests_for(self, path: str, *, method: str = "GET") -> list[Request]:
        """Return the requests whose path ends with `path`."""
        with self.lock:
            return [
                r for r in self.requests if r.method == method and r.path.endswith(path)
            ]

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: HubServer) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in the middle is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> HubServer:
        assert isinstance(self.server, _Server)
        return self.server.hub

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean; `requests` is the log."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = [unquote(p) for p in urlsplit(self.path).path.strip("/").split("/")]
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.hub.lock:
            self.hub.requests.append(
                Request(self.command, urlsplit(self.path).path, headers)
            )
        if self.hub.status is not None:
            return self._refuse(self.hub.status, "", "told to by the test")
        if parts[0] == "cdn":
            return self._cdn(*parts[1:])
        if self.hub.token and headers.get("authorization") != self._bearer():
            return self._refuse(401, "", "Invalid username or password.")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            return self._api("/".join(parts[2:4]), parts[4:])
        if len(parts) >= 5 and parts[2] == "resolve":
            return self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        return self._refuse(404, "", "no such page")

    def _bearer(self) -> str:
        return f"Bearer {self.hub.token}"

    def _api(self, repo: str, rest: list[str]) -> None:
        served = self.hub.repos.get(repo)
        if served is None:
            return self._refuse(404, "RepoNotFound", "Repository not found")
        commit = served.find(rest[1] if len(rest) > 1 else "main")
        if commit is None:
            return self._refuse(404, "RevisionNotFound", "Invalid rev id")
        tree = served.commits[commit]
        if rest[:1] == ["tree"]:
            return self._json([f.tree_entry(p) for p, f in sorted(tree.items())])
        siblings = [f.sibling(p) for p, f in sorted(tree.items())]
        return self._json({"id": repo, "sha": commit, "siblings": siblings})

    def _resolve(self, repo: str, revision: str, path: str) -> None:
        served = self.hub.repos.get(repo)
        if served is None:
            return self._refuse(404, "RepoNotFound", "Repository not found")
        if repo in self.hub.gated:
            return self._refuse(403, "GatedRepo", "Access is restricted")
        commit = served.find(revision)
        if commit is None:
            return self._refuse(404, "RevisionNotFound", "Invalid rev id")
        file = served.commits[commit].get(path)
        if file is None:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        head = {"X-Repo-Commit": commit, "ETag": f'"{file.etag}"'}
        if not file.lfs:
            return self._send(file, path, head)
        self.send_response(302)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("X-Linked-ETag", f'"{file.etag}"')
        self.send_header("X-Linked-Size", str(file.size))
        location = f"{self.hub.cdn}/cdn/{repo}/{commit}/{quote(path)}"
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def _cdn(self, owner: str, name: str, commit: str, *path: str) -> None:
        file = self.hub.repos[f"{owner}/{name}"].commits[commit]["/".join(path)]
        self._send(file, "/".join(path), {"ETag": f'"{file.etag}"'})

    def _send(self, file: ServedFile, path: str, headers: Mapping[str, str]) -> None:
        asked = self.headers.get("Range", "")
        start = int(asked[6:].split("-")[0]) if asked.startswith("bytes=") else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header(
                "Content-Range", f"bytes {start}-{file.size - 1}/{file.size}"
            )
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(file.size - start))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self._send_body(file, path, start)

    def _send_body(self, file: ServedFile, path: str, start: int) -> None:
        with self.hub.lock:
            cut = self.hub.cut_after.pop(path, None)
        at = start
        for piece in _pieces(_opened(file.content), start):
            data = bytearray(piece)
            if path in self.hub.wrong_bytes and at == start:
                data[0] ^= 1
            if cut is not None and at + len(data) > cut:
                self.wfile.write(data[: max(0, cut - at)])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(data)
            at += len(data)

    def _json(self, value: object) -> None:
        self._body(200, json.dumps(value).encode(), {})

    def _refuse(self, status: int, code: str, message: str) -> None:
        head = {"X-Error-Message": message}
        if code:
            head["X-Error-Code"] = code
        self._body(status, json.dumps({"error": message}).encode(), head)

    def _body(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


def _opened(content: Content) -> BinaryIO:
    return content.open("rb") if isinstance(content, Path) else io.BytesIO(content)


def _pieces(stream: BinaryIO, start: int = 0) -> Iterator[bytes]:
    with stream:
        stream.seek(start)
        while piece := stream.read(PIECE):
            yield piece


def _git_sha1(data: bytes) -> str:
    header = b"blob %d\0" % len(data)
    return hashlib.sha1(header + data, usedforsecurity=False).hexdigest()


def _pointer(file: ServedFile) -> bytes:
    version = "version https://git-lfs.github.com/spec/v1"
    return f"{version}\noid sha256:{file.sha256}\nsize {file.size}\n".encode()
