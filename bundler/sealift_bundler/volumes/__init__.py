"""Volumes of data as a source: what lies in them, out of a directory or an engine.

`found` (values) <- `directory`, `archive` (readers) <- `source` (which of them).
"""
