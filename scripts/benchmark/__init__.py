"""Measure Sealift against the tools used by hand, in the same run, on the same bytes."""
