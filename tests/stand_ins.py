"""Small images in place of the large ones that templates name.

Each answers over HTTP where its server would, and has the programs by which the
templates start it and look at its health; behind all of them is one static busybox.
"""

from __future__ import annotations

from pathlib import Path

import hosts
from engines import a_layer

SERVE = """\
port=PORT
while [ $# -gt 0 ]; do
    case $1 in
        --port=*) port=${1#--port=} ;;
        --port) port=$2 ;;
    esac
    shift
done
exec /bin/busybox httpd -f -p "$port" -h /www
"""
_FETCH = """\
for word in "$@"; do
    url=$(echo "$word" | /bin/busybox sed -n "s|.*\\(http://[^' ]*\\).*|\\1|p")
    [ -z "$url" ] || exec /bin/busybox wget -q -O - "$url"
done
exit 1
"""
_OLLAMA = """\
case $1 in
    serve) exec /bin/busybox httpd -f -p 11434 -h /www ;;
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
    script = "#!/bin/sh\n"
    files = {
        "bin/busybox": busybox,
        "bin/sh": busybox,
        "bin/serve": (script + SERVE.replace("PORT", "8080")).encode(),
        "bin/vllm": (script + SERVE.replace("PORT", "8000")).encode(),
        "bin/python3": (script + _FETCH).encode(),
        "bin/curl": (script + _FETCH).encode(),
        "bin/ollama": (script + _OLLAMA).encode(),
        "bin/bash": (script + _BASH).encode(),
        "www/health": b"ok",
        "www/v1/models": MODELS,
        "www/api/tags": b'{"models": []}',
        "about": f"stand-in for {service}".encode(),
    }
    layer = folder / f"{service}.tar"
    layer.write_bytes(a_layer(files))
    words = ", ".join(f'"{word}"' for word in ENTRYPOINTS[service])
    changes = ["-c", f"ENTRYPOINT [{words}]", "-c", "ENV PATH=/bin"]
    engine.run("import", *changes, str(layer), tag)
