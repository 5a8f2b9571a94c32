"""A shell script that answers HTTP like the servers people run, for small test images.

It answers one request: of a chat, of Ollama, for embeddings; else with a file below
/www. Where it has a secret `api-key`, clients must send it. A busybox starts it for
each connection, see `speaks`.
"""

from __future__ import annotations

from engines import SHELL

SCRIPT = "bin/answer"

_TEXT = """\
#!/bin/sh
read -r method path rest
length=0 given=
while read -r line; do
    line=$(echo "$line" | SHELL tr -d '\\r')
    [ -z "$line" ] && break
    case $line in
        [Aa]uthorization:*) given=${line#*: } ;;
        [Cc]ontent-[Ll]ength:*) length=${line##*: } ;;
    esac
done
asked=
[ "$length" = 0 ] || asked=$(SHELL head -c "$length")
status=200 kind=application/json
case $path in
    /v1/chat/completions)
        case $asked in
            *'"stream":true'*)
                kind=text/event-stream
                body='data: {"choices":[{"delta":{"content":"It is Pa"}}]}

data: {"choices":[{"delta":{"content":"ris."}}]}

data: [DONE]

' ;;
            *)
                body='{"choices":[{"message":{"role":"assistant",'
                body=$body'"content":"It is CITY."}}]}' ;;
        esac ;;
    /api/generate) body='{"response":"CITY.","done":true}' ;;
    /api/embed) body='{"embeddings":[[0.25,-0.5]]}' ;;
    *)
        kind=text/plain
        if [ -f "/www$path" ]; then
            body=$(SHELL cat "/www$path")
        elif [ "$path" = /readyz ]; then
            status=503 body=loading
        else
            status=404 body=lost
        fi ;;
esac
key=/run/secrets/api-key
if [ -f $key ] && [ "$given" != "Bearer $(SHELL cat $key)" ]; then
    status=401 kind=text/plain body="this is not the key: $given"
fi
printf 'HTTP/1.1 %s X\\r\\nContent-Type: %s\\r\\nContent-Length: %s\\r\\n\\r\\n%s' \\
    $status $kind ${#body} "$body"
"""


def speaks(port: str) -> str:
    """Return the command that answers on a port."""
    # Whatever follows the program is taken for its arguments.
    return f"{SHELL} nc -ll -p {port} -e /{SCRIPT}"


def script(city: str = "Paris") -> bytes:
    """Return the script; `city` is what it says is the capital of France."""
    return _TEXT.replace("SHELL", SHELL).replace("CITY", city).encode()
