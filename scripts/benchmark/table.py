"""What was measured, for people: ratios first, then what each command took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from cases import COMPARISONS, Comparison
from meter import Run

Runs = Mapping[str, Sequence[Run]]
SIZE_AIM = 0.672
MEMORY_AIM = 400 << 20
OURS = ("build", "install", "verify", "audit")


def lines(runs: Runs, model_size: int, bundle_size: int) -> Iterator[str]:
    """Yield the lines of both tables."""
    yield f"{'ratio of times':53} median  {'(from - to)':15} {'aim':16} CPU time"
    size = bundle_size / model_size
    yield _ratio("bundle size / model size", (size,), SIZE_AIM)
    for each in COMPARISONS:
        title = f"{each.ours} / ({each.yardstick})"
        line = _ratio(title, _ratios(runs, each, "wall"), each.aim)
        yield f"{line:94} {median(_ratios(runs, each, 'cpu')):8.2f}"
    peak = max(run.memory for name in OURS for run in runs[name])
    yield _ratio("peak memory of ours / 400 MiB", (peak / MEMORY_AIM,), 1)
    yield ""
    yield (
        "command                         seconds    CPU s  MiB peak  "
        "read  written  from disk  extra disk"
    )
    for name, each in runs.items():
        yield _row(name, each, model_size)
    yield "The last four are bytes per byte of the model; pipes count in the first two."


def _ratios(runs: Runs, compared: Comparison, what: str) -> tuple[float, ...]:
    """Divide round by round: both runs of a round saw the same machine."""
    pairs = zip(runs[compared.ours], runs[compared.yardstick], strict=True)
    return tuple(getattr(ours, what) / getattr(other, what) for ours, other in pairs)


def _ratio(title: str, values: Sequence[float], aim: float | None) -> str:
    spread = f"({min(values):.2f} - {max(values):.2f})" if len(values) > 1 else ""
    wanted = "" if aim is None else f"<= {aim}"
    met = "" if aim is None else "met" if median(values) <= aim else "MISSED"
    return f"{title:52} {median(values):7.3f}  {spread:15} {wanted:9} {met}".rstrip()


def _row(name: str, runs: Sequence[Run], model_size: int) -> str:
    def middle(attribute: str) -> float:
        return median(getattr(run, attribute) for run in runs)

    extra = median(max(0, run.most_disk - run.disk) for run in runs)
    return (
        f"{name:30} {middle('wall'):8.2f} {middle('cpu'):8.2f} "
        f"{middle('memory') / 2**20:9.0f} {middle('read') / model_size:5.2f} "
        f"{middle('written') / model_size:8.2f} "
        f"{middle('from_disk') / model_size:10.2f} {extra / model_size:11.2f}"
    )
