"""Which distribution an image is made of, and until when that gets updates.

Dates are the ends of standard support of Ubuntu (ubuntu.com/about/release-cycle) and
of long-term support of Debian (wiki.debian.org/LTS), as of November 2026.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import date

from sealift_bundler.insides.layers import OS_RELEASE, Found

_ENDS = {
    ("ubuntu", "16.04"): date(2021, 4, 30),
    ("ubuntu", "18.04"): date(2023, 5, 31),
    ("ubuntu", "20.04"): date(2025, 5, 31),
    ("ubuntu", "22.04"): date(2027, 5, 31),
    ("ubuntu", "24.04"): date(2029, 5, 31),
    ("debian", "8"): date(2020, 6, 30),
    ("debian", "9"): date(2022, 6, 30),
    ("debian", "10"): date(2024, 6, 30),
    ("debian", "11"): date(2026, 8, 31),
    ("debian", "12"): date(2028, 6, 30),
    ("debian", "13"): date(2030, 6, 30),
}


def past_its_end(files: Mapping[str, Found], today: date) -> str:
    """Say which distribution is past its end, and since when; empty if none is."""
    for path in OS_RELEASE:
        release = _read(files[path].text) if path in files else {}
        key = (release.get("ID", "").lower(), release.get("VERSION_ID", ""))
        end = _ENDS.get(key)
        if end and end < today:
            name = release.get("PRETTY_NAME") or " ".join(key)
            return f"{name}, without updates since {end.isoformat()}"
    return ""


def _read(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            try:
                found[key.strip()] = " ".join(shlex.split(value))
            except ValueError:
                continue
    return found
