#!/usr/bin/env python3
"""llama-server on xllamacpp: llama.cpp's own HTTP server, started with its own options.

The package brings the server as a library. This takes those options of `llama-server`
that a stack needs, so that an image with it takes the place of the upstream one.
"""

from __future__ import annotations

import argparse
import signal

import xllamacpp


def options() -> argparse.Namespace:
    """Read the options; their names are llama-server's."""
    parser = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--ctx-size", type=int, default=0)
    parser.add_argument("--n-gpu-layers", type=int, default=-1)
    parser.add_argument("--threads", type=int, default=-1)
    return parser.parse_args()


def main() -> None:
    """Serve until a signal to stop comes."""
    given = options()
    wanted = xllamacpp.CommonParams()
    wanted.model.path = given.model
    if given.alias:
        wanted.model_alias = {given.alias}
    wanted.hostnames = [given.host]
    wanted.port = given.port
    wanted.n_ctx = given.ctx_size
    wanted.n_gpu_layers = given.n_gpu_layers
    wanted.cpuparams.n_threads = given.threads
    # Before the server starts its threads: they inherit what is blocked.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    server = xllamacpp.Server(wanted)
    print(f"listening on {server.listening_address}", flush=True)
    signal.sigwait(stops)


if __name__ == "__main__":
    main()
