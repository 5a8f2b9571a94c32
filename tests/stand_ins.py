"""Small images in place of the large ones that templates name.

Each answers over HTTP where its server would, and has the programs by which the
templates start it and look at its health; behind all of them is one static busybox.
"""

from __future__ import annotations

from pathlib import Path

import hosts
from engines import a_layer
from speaking import SCRIPT, script, speaks

SERVE = """\
port=PORT
while [ $# -gt 0 ]; do
    case $1 in
        --port=*) port=${1#--port=} ;;
        --port) port=$2 ;;
    esac
    shift
done
exec SPEAKS
"""
_FETCH = """\
for word in "$@"; do
    url=$(echo "$word" | /bin/busybox sed -n "s|.*\\(http://[^' ]*\\).*|\\1|p")
    [ -z "$url" ] || exec /bin/busybox wget -q -O - "$url"
done
exit 1
"""
_OLLAMA = """\
port=11434
case $1 in
    serve) exec SPEAKS ;;
    list) exec /bin/busybox wget -q -O - http://127.0.0.1:11434/api/tags ;;
esac
exit 1
"""
_BASH = "exec /bin/busybox wget -q -O - http://127.0.0.1:6333/health\n"
MODELS = b'{"object": "list", "data": [{"id": "chat"}]}'

ENTRYPOINTS = {
    "vllm": ["/bin/vllm"],
    "tgi": ["/bin/serve"],
    "llama": ["/bin/serve"],
    "ollama": ["/bin/ollama", "serve"],
    "qdrant": ["/bin/serve", "--port", "6333"],
    "webui": ["/bin/serve", "--port", "8080"],
}
"""How each server's own image starts it, by the service's name in the templates."""


def import_stand_in(engine: hosts.Engine, service: str, tag: str, folder: Path) -> None:
    """Put the stand-in for a service into the engine under a tag."""
    busybox = Path("/bin/busybox").read_bytes()
    head = "#!/bin/sh\n"
    programs = {
        "bin/serve": SERVE.replace("PORT", "8080"),
        "bin/vllm": SERVE.replace("PORT", "8000"),
        "bin/python3": _FETCH,
        "bin/curl": _FETCH,
        "bin/ollama": _OLLAMA,
        "bin/bash": _BASH,
    }
    files = {
        **{
            name: (head + text.replace("SPEAKS", speaks("$port"))).encode()
            for name, text in programs.items()
        },
        SCRIPT: script(),
        "bin/busybox": busybox,
        "bin/sh": busybox,
        "www/health": b"ok",
        "www/v1/models": MODELS,
        "www/readyz": b"ok",
        "www/api/tags": b'{"models": []}',
        "about": f"stand-in for {service}".encode(),
    }
    layer = folder / f"{service}.tar"
    layer.write_bytes(a_layer(files))
    words = ", ".join(f'"{word}"' for word in ENTRYPOINTS[service])
    changes = ["-c", f"ENTRYPOINT [{words}]", "-c", "ENV PATH=/bin"]
    engine.run("import", *changes, str(layer), tag)
