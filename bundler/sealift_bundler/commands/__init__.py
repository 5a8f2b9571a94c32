"""The commands of `sealift`, one module each."""
