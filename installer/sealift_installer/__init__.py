"""The offline side: verify, load, stage, start, audit. Standard library only."""
