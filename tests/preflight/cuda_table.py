"""Drivers x GPUs x images, and what must be found about CUDA. One row, one case.

Columns: where the fact is from | driver | GPU | CUDA of the image | more about the
image | the findings, all of them, but for a driver branch's end of life. The image
demands nothing unless it has `published`: then it has NVIDIA_REQUIRE_CUDA as NVIDIA's
image of that CUDA has it, and the legacy path checks that.

More: native=, ptx= (the chips its torch is built for; "every" is the default),
compat= (version of its compat library), note= (branches in that library's ELF note),
forced (the library is forced by ld.so.conf), unseen (nobody looked for libraries),
toolkit= (version of the container toolkit), hook=off (its compat hook), cdi (devices:
with CDI names), nobuilds (nobody looked for builds).
"""
# ruff: noqa: E501

from __future__ import annotations

TABLE = """
# The driver's CUDA version is the image's or newer
driver branches and CUDA | 580.95.05 | L40S | 13.0 | | cuda-native
driver branches and CUDA | 580.95.05 | L40S | 12.9 | | cuda-native
driver branches and CUDA | 580.95.05 | A100 | 11.8 | | cuda-native
driver branches and CUDA | 575.57.08 | H100 | 12.9.1 | | cuda-native
driver branches and CUDA | 570.26 | H100 | 12.8.1 | | cuda-native
driver branches and CUDA | 565.57.01 | H100 | 12.7 | | cuda-native
driver branches and CUDA | 560.28.03 | L4 | 12.6.3 | | cuda-native
driver branches and CUDA | 550.54.15 | L4 | 12.4.1 | | cuda-native
driver branches and CUDA | 535.54.03 | T4 | 12.2.2 | | cuda-native
driver branches and CUDA | 525.60.13 | T4 | 12.0.1 | | cuda-native
driver branches and CUDA | 520.61.05 | A100 | 11.8 | | cuda-native
driver branches and CUDA | 590.48.01 | H100 | 13.1 | | cuda-native
driver branches and CUDA | 595.71.05 | H100 | 13.2 | | cuda-native
driver branches and CUDA | 610.43.02 | H100 | 13.3 | | cuda-native
driver branches and CUDA | 615.71.09 | H200 | 13.4.2 | | cuda-native
driver branches and CUDA | 440.33 | T4 | 10.2.89 | native=7.5 | cuda-native

# CUDA compatibility, minor versions: same major, driver older than the toolkit
CUDA compatibility, minor versions | 525.60.13 | A100 | 12.9 | | cuda-minor-version
CUDA compatibility, minor versions | 525.85.12 | A100 | 12.2 | | cuda-minor-version
CUDA compatibility, minor versions | 535.104.05 | L40S | 12.6 | | cuda-minor-version
CUDA compatibility, minor versions | 550.54.15 | L40S | 12.6 | | cuda-minor-version
CUDA compatibility, minor versions | 550.54.15 | 4090 | 12.8 | | cuda-minor-version
CUDA compatibility, minor versions | 570.124.06 | 4090 | 12.9 | | cuda-minor-version
CUDA compatibility, minor versions | 580.65.06 | H100 | 13.2 | | cuda-minor-version
CUDA compatibility, minor versions | 580.95.05 | 5090 | 13.4 | | cuda-minor-version
CUDA compatibility, minor versions | 590.48.01 | B200 | 13.3 | | cuda-minor-version
CUDA compatibility, minor versions | 450.80.02 | A100 | 11.8 | | cuda-minor-version
CUDA compatibility, minor versions | 470.82.01 | T4 | 11.8 | | cuda-minor-version
CUDA compatibility, minor versions | 470.82.01 | V100 | 11.5 | | cuda-minor-version
one below each minimum | 525.60.11 | A100 | 12.9 | | cuda-driver-too-old
one below each minimum | 525.60.11 | 3090 | 12.9 | | cuda-driver-too-old
one below each minimum | 450.80.01 | A100 | 11.8 | | cuda-driver-too-old
one below each minimum | 580.65.05 | H100 | 13.2 | | cuda-driver-too-old
no minor versions before 11 | 418.39 | T4 | 10.2.89 | native=7.5 | cuda-driver-too-old

# The driver is too old, and nothing bridges it
major versions | 535.104.05 | L40S | 13.0 | | cuda-driver-too-old
major versions | 550.54.15 | H100 | 13.2 | | cuda-driver-too-old
major versions | 575.57.08 | H100 | 13.0 | | cuda-driver-too-old
major versions | 520.61.05 | A100 | 12.4 | | cuda-driver-too-old
major versions | 470.82.01 | T4 | 12.1 | | cuda-driver-too-old
major versions | 570.124.06 | 5090 | 13.0 | | cuda-driver-too-old

# Forward compatibility: the matrix
CUDA compatibility, forward | 535.104.05 | H100 | 13.0 | compat=580.95.05 | cuda-forward
CUDA compatibility, forward | 570.124.06 | H100 | 13.0 | compat=580.95.05 | cuda-forward
CUDA compatibility, forward | 535.104.05 | T4 | 13.2 | compat=595.58.03 | cuda-forward
CUDA compatibility, forward | 570.124.06 | L4 | 13.3 | compat=610.43.02 | cuda-forward
CUDA compatibility, forward | 570.124.06 | B200 | 13.4 | compat=615.71.09 | cuda-forward
CUDA compatibility, forward | 535.104.05 | A100 | 13.1 | compat=590.44.01 | cuda-forward
CUDA compatibility, forward | 550.54.15 | H100 | 13.0 | compat=580.95.05 | cuda-driver-too-old
branches that the matrix does not have | 560.35.03 | H100 | 13.0 | compat=580.95.05 | cuda-driver-too-old
branches that the matrix does not have | 525.60.13 | H100 | 13.0 | compat=580.95.05 | cuda-driver-too-old
branches that the matrix does not have | 520.61.05 | A100 | 12.8 | compat=570.26 | cuda-driver-too-old
the ELF note is wider than the matrix | 550.54.15 | H100 | 13.1 | compat=590.44.01 note=535,550,570,575,580,590 | cuda-forward-unlisted
the ELF note is wider than the matrix | 575.57.08 | H100 | 13.1 | compat=590.44.01 note=535,550,570,575,580,590 | cuda-forward-unlisted
the ELF note agrees with the matrix | 535.104.05 | H100 | 13.1 | compat=590.44.01 note=535,550,570,575,580,590 | cuda-forward
the ELF note does not have the branch | 565.57.01 | H100 | 13.1 | compat=590.44.01 note=535,550,570,575,580,590 | cuda-driver-too-old
no need of the bridge | 580.95.05 | H100 | 13.1 | compat=590.44.01 | cuda-minor-version
a library that is too old to bridge | 535.104.05 | H100 | 13.1 | compat=580.95.05 | cuda-driver-too-old
forward compatibility: not GeForce | 535.104.05 | 4090 | 13.0 | compat=580.95.05 | cuda-driver-too-old compat-hook
forward compatibility: not GeForce | 570.124.06 | 3090 | 13.0 | compat=580.95.05 hook=off | cuda-driver-too-old
forward compatibility: not TITAN | 535.104.05 | TITANV | 12.8 | compat=570.26 | cuda-minor-version compat-hook
forward compatibility: select RTX | 535.104.05 | 6000Ada | 13.0 | compat=580.95.05 | cuda-forward-unlisted
forward compatibility: select RTX | 570.124.06 | PRO6000 | 13.0 | compat=580.95.05 note=535,570 | cuda-forward-unlisted
how the toolkit treats it | 535.104.05 | H100 | 13.0 | compat=580.95.05 hook=off | cuda-driver-too-old
how the toolkit treats it | 535.104.05 | H100 | 13.0 | compat=580.95.05 toolkit=1.17.4 | cuda-driver-too-old
how the toolkit treats it | 535.104.05 | H100 | 13.0 | compat=580.95.05 toolkit=1.17.3 | cuda-forward
how the toolkit treats it | 535.104.05 | H100 | 13.0 | compat=580.95.05 toolkit=1.17.5 | cuda-forward
how the toolkit treats it | 535.104.05 | H100 | 13.0 | compat=580.95.05 toolkit=? | cuda-unknown
the hook never looks at the GPU | 550.54.15 | 4090 | 12.8 | compat=570.124.06 | cuda-minor-version compat-hook
the hook never looks at the GPU | 550.54.15 | 4090 | 12.8 | compat=570.124.06 hook=off | cuda-minor-version
the hook never looks at the GPU | 550.54.15 | 4090 | 12.9 | compat=575.57.08 note=535,550,560,565,570,575 | cuda-minor-version compat-hook
the hook heeds the note | 545.23.08 | 4090 | 12.9 | compat=575.57.08 note=535,550,560,565,570,575 | cuda-minor-version
the hook heeds a newer driver | 580.95.05 | 4090 | 12.9 | compat=575.57.08 | cuda-native
nobody looked | 535.104.05 | H100 | 13.0 | unseen | cuda-unknown compat-unknown
nobody looked | 535.104.05 | 4090 | 13.0 | unseen | cuda-driver-too-old compat-unknown
nobody looked | 580.95.05 | H100 | 12.8 | unseen | cuda-native compat-unknown

# Compat libraries that do harm
vLLM 0.15.0's image on newer drivers | 580.95.05 | H100 | 12.9 | compat=575.57.08 forced | compat-harmful
vLLM 0.15.0's image on newer drivers | 590.48.01 | L40S | 12.9 | compat=575.57.08 forced | compat-harmful
vLLM 0.15.0's image on newer drivers | 580.95.05 | 4090 | 12.9 | compat=575.57.08 forced | compat-harmful
vLLM 0.15.0's image on older drivers | 535.104.05 | H100 | 12.9 | compat=575.57.08 forced | cuda-forward
vLLM 0.15.0's image on older drivers | 570.124.06 | H100 | 12.9 | compat=575.57.08 forced | cuda-forward
the library's own branch | 575.57.08 | H100 | 12.9 | compat=575.57.08 forced | cuda-native
compat on the wrong GPU, error 804 | 570.124.06 | 4090 | 12.9 | compat=575.57.08 forced | compat-wrong-gpu
compat on the wrong GPU, error 804 | 535.104.05 | 3090 | 12.8 | compat=570.26 forced | compat-wrong-gpu
compat on the wrong driver | 550.54.15 | H100 | 12.8 | compat=570.26 forced | compat-wrong-driver
the matrix has X for older libraries | 570.124.06 | H100 | 12.6 | compat=560.35.05 forced | compat-harmful
the matrix has X for older libraries | 580.95.05 | H100 | 12.8 | compat=570.124.06 forced | compat-harmful

# GPUs that drivers and CUDA versions no longer, or not yet, know
last branch of Volta is 580 | 590.48.01 | V100 | 12.6 | | gpu-driver-too-new cuda-native
last branch of Volta is 580 | 580.95.05 | V100 | 12.6 | | cuda-native
last branch of Pascal is 580 | 595.71.05 | P40 | 12.6 | | gpu-driver-too-new cuda-native
last branch of Kepler is 470 | 525.60.13 | K80 | 11.8 | | gpu-driver-too-new cuda-native
last branch of Kepler is 470 | 470.82.01 | K80 | 11.4 | | cuda-native
CUDA 13 drops what is before Turing | 580.95.05 | V100 | 13.0 | native=7.5,8.0,9.0 | cuda-native image-gpu-dropped code-missing
CUDA 13 drops what is before Turing | 580.95.05 | P40 | 13.0 | native=7.5,8.0 | cuda-native image-gpu-dropped code-missing
CUDA 12 drops Kepler | 470.82.01 | K80 | 12.1 | native=5.0,6.0 | cuda-driver-too-old image-gpu-dropped code-missing
Blackwell needs branch 570 | 550.54.15 | B200 | 12.8 | | gpu-driver-too-old cuda-minor-version
Blackwell needs branch 570 | 565.57.01 | 5090 | 12.8 | | gpu-driver-too-old cuda-minor-version
Blackwell needs CUDA 12.8 | 570.124.06 | 5090 | 12.6 | native=5.0,8.0,9.0 | cuda-native image-gpu-too-new code-missing
Blackwell needs CUDA 12.8 | 580.95.05 | B200 | 12.4 | native=8.0,9.0 | cuda-native image-gpu-too-new code-missing
Blackwell by PTX of an older CUDA | 580.95.05 | B200 | 12.4 | native=8.0,9.0 ptx=9.0 | cuda-native code-jit
Hopper needs CUDA 11.8 | 580.95.05 | H100 | 11.4 | native=8.0,8.6 | cuda-native image-gpu-too-new code-missing
Ada runs Ampere's code | 580.95.05 | L4 | 11.4 | native=7.0,8.0,8.6 | cuda-native

# Machine code for this GPU: same major, not newer
same major, not newer | 580.95.05 | A10 | 12.8 | native=8.0 | cuda-native
same major, not newer | 580.95.05 | L40S | 12.8 | native=8.0 | cuda-native
same major, not newer | 580.95.05 | A100 | 12.8 | native=8.6 | cuda-native code-missing
same major, not newer | 580.95.05 | A10 | 12.8 | native=8.9 | cuda-native code-missing
same major, not newer | 580.95.05 | B300 | 12.9 | native=10.0 | cuda-native
same major, not newer | 580.95.05 | GB10 | 12.9 | native=12.0 | cuda-native
same major, not newer | 580.95.05 | 5090 | 12.9 | native=10.0 | cuda-native code-missing
code for one chip alone | 580.95.05 | H100 | 12.8 | native=9.0a | cuda-native
code for one chip alone | 580.95.05 | B300 | 12.9 | native=10.0a | cuda-native code-missing
code for one chip alone | 580.95.05 | B300 | 12.9 | native=10.0f | cuda-native
code for one chip alone | 580.95.05 | GB10 | 12.9 | native=12.0a | cuda-native code-missing
PTX is compiled by a driver of that CUDA | 580.95.05 | 5090 | 12.8 | native=8.0 ptx=9.0 | cuda-native code-jit
PTX is compiled by a driver of that CUDA | 570.124.06 | L40S | 12.8 | native=7.5 ptx=7.5 | cuda-native code-jit
no PTX with an older driver, error 222 | 550.54.15 | H100 | 12.8 | native=8.0 ptx=8.0 | cuda-minor-version code-ptx-too-new
no PTX with an older driver, error 222 | 580.95.05 | H100 | 13.2 | native=8.0 ptx=8.0 | cuda-minor-version code-ptx-too-new
PTX with forward compatibility | 535.104.05 | H100 | 13.0 | native=8.0 ptx=8.0 compat=580.95.05 | cuda-forward code-jit
PTX for newer GPUs only | 580.95.05 | T4 | 12.8 | native=8.0 ptx=12.0 | cuda-native code-missing
nobody looked for builds | 580.95.05 | H100 | 12.8 | nobuilds | cuda-native code-unknown
PyTorch for CUDA 12.6 | 580.95.05 | 5090 | 12.6 | native=5.0,6.0,7.0,7.5,8.0,8.6,9.0 | cuda-native image-gpu-too-new code-missing
PyTorch for CUDA 12.8 | 570.26 | 5090 | 12.8 | native=7.0,7.5,8.0,8.6,9.0,10.0,12.0 ptx=12.0 | cuda-native
PyTorch for CUDA 12.8 | 580.95.05 | P40 | 12.8 | native=7.0,7.5,8.0,8.6,9.0,10.0,12.0 ptx=12.0 | cuda-native code-missing
PyTorch for CUDA 13.0 | 580.95.05 | T4 | 13.0 | native=7.5,8.0,8.6,9.0,10.0,12.0 ptx=12.0 | cuda-native
vLLM's image for CUDA 12.8 | 570.26 | 5090 | 12.8 | native=7.0,7.5,8.0,8.9,9.0,10.0 ptx=10.0 | cuda-native code-jit
vLLM's image for CUDA 12.8 | 570.26 | A10 | 12.8 | native=7.0,7.5,8.0,8.9,9.0,10.0 ptx=10.0 | cuda-native
vLLM's image for CUDA 13.0 | 580.95.05 | PRO6000 | 13.0 | native=7.5,8.0,8.6,8.9,9.0,10.0,11.0,12.0 | cuda-native
vLLM's image for CUDA 13.0 | 535.104.05 | V100 | 13.0 | native=7.5,8.0,8.6,8.9,9.0,10.0,11.0,12.0 | cuda-driver-too-old image-gpu-dropped code-missing

# What is not known
no driver version | ? | H100 | 12.8 | | cuda-unknown
a branch of the future | 700.10.01 | H100 | 12.8 | | cuda-unknown
the image names no CUDA | 580.95.05 | H100 | ? | nobuilds | cuda-unknown code-unknown

# NVIDIA_REQUIRE_CUDA of published images, on the path that checks it
require: from 12.6 on no GeForce | 570.124.06 | 4090 | 12.9 | published | cuda-minor-version require-refused
require: from 12.6 on no GeForce | 550.54.15 | 4090 | 12.6 | published | cuda-minor-version require-refused
require: from 12.6 on no GeForce | 560.35.03 | 4090 | 12.6 | published | cuda-native
require: before 12.6 with GeForce | 535.104.05 | 4090 | 12.4 | published | cuda-minor-version
require: before 12.6 with GeForce | 545.23.08 | 4090 | 12.4 | published | cuda-minor-version require-refused
require: a branch without a term | 545.23.08 | H100 | 12.8 | published | cuda-minor-version require-refused
require: a branch without a term | 555.42.06 | H100 | 12.8 | published | cuda-minor-version require-refused
require: a branch with a term | 550.54.15 | H100 | 12.8 | published | cuda-minor-version
require: a branch with a term | 535.104.05 | H100 | 12.9 | published | cuda-minor-version
require: a branch with a term | 535.104.05 | H100 | 12.6 | published | cuda-minor-version
require: a branch with a term | 570.124.06 | L4 | 12.9 | published | cuda-minor-version
require: a branch without a term | 525.85.12 | L4 | 12.9 | published | cuda-minor-version require-refused
require: a branch without a term | 525.85.12 | A100 | 12.8 | published | cuda-minor-version require-refused
require: passes, and yet no CUDA 13 | 550.54.15 | H100 | 13.0 | published | cuda-driver-too-old
require: passes, and yet no CUDA 13 | 535.104.05 | PRO6000 | 13.0 | published | gpu-driver-too-old cuda-driver-too-old
require: 595 needs no term | 595.71.05 | H100 | 13.2 | published | cuda-native
require: 580 with a 13.2 image | 580.95.05 | H100 | 13.2 | published | cuda-minor-version
require: 580 with a 13.2 image | 580.95.05 | 5090 | 13.2 | published | cuda-minor-version require-refused
require: workstation cards | 570.124.06 | 6000Ada | 12.9 | published | cuda-minor-version
require: 11.8 knows only 470 | 470.82.01 | T4 | 11.8 | published | cuda-minor-version
require: 11.8 knows only 470 | 510.47.03 | T4 | 11.8 | published | cuda-minor-version require-refused
require: 12.1 and the old Teslas | 450.80.02 | V100 | 12.1 | published | cuda-driver-too-old
require: 12.2 with 525 | 525.60.13 | 3090 | 12.2 | published | cuda-minor-version
require: with CDI nobody checks | 570.124.06 | 4090 | 12.9 | published cdi | cuda-minor-version require-unenforced
require: with CDI nobody checks | 545.23.08 | H100 | 12.8 | published cdi | cuda-minor-version require-unenforced
require: an image of the old kind | 570.124.06 | H100 | 12.9 | old | cuda-minor-version require-refused
require: an image of the old kind | 580.95.05 | H100 | 12.9 | old | cuda-native
"""


def rows() -> list[tuple[str, ...]]:
    """Return the rows, each as its six columns."""
    lines = [line for line in TABLE.splitlines() if line and not line.startswith("#")]
    return [tuple(cell.strip() for cell in line.split("|")) for line in lines]
