"""Read a host: its GPUs, driver, toolkit, engine and machine. Judges nothing.

`host.probe_host` tells the story; each other module reads one part of a host.
"""
