"""Measure Sealift against the tools used by hand: same run, same bytes."""
