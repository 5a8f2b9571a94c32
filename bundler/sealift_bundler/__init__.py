"""The connected side: snapshot, pull, build, save, measure, pack, sign."""

__version__ = "0.1.0"
