"""Run a bundle where there is no way out, and list who tries to get there.

`packets` understands what was sent, `wall` lets nothing through and looks on, `run`
tells the story with the bundle's own installer.
"""
