"""Hosts that are not in order, and every finding that follows. One row, one case.

Each row: where the fact is from, what is so, the host, the bundle (None: host only)
and all findings. "slug" is of the slug's usual level, "slug:warn" of that one.
The note `cuda-native` of the bundle's image is left out.
"""

from __future__ import annotations

from rows_driver import DRIVER
from rows_gpu import GPU
from rows_host import HOST
from rows_paths import PATHS
from rows_require import REQUIRE
from rows_services import SERVICES

ROWS = (*DRIVER, *GPU, *PATHS, *REQUIRE, *HOST, *SERVICES)
