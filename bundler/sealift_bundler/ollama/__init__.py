"""Models of Ollama: from its registry protocol, or out of a store, without its program.

`names` -> `documents` -> `store`. A model is a manifest and blobs, each known by its
SHA-256; a store is a directory of both.
"""
