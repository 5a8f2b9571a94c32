"""The slugs about CUDA in images, the container toolkit, and memory."""

from __future__ import annotations

_CUDA = (
    (
        "cuda-native",
        "note",
        "the driver's CUDA version is the image's or newer",
        "Nothing to do.",
    ),
    (
        "cuda-minor-version",
        "note",
        "the driver is older than the image's CUDA, of the same major version and new "
        "enough: it runs what has machine code for the GPU",
        "Nothing to do. A newer driver (<driver>) also compiles PTX.",
    ),
    (
        "cuda-forward",
        "note",
        "the image's compat library bridges to the older driver",
        "Nothing to do.",
    ),
    (
        "cuda-forward-unlisted",
        "warn",
        "the compat library should bridge to this driver and GPU, but NVIDIA's list "
        "does not name them",
        "Try it once, or install driver <driver> or newer.",
    ),
    (
        "cuda-driver-too-old",
        "fail",
        "the driver is too old for the image's CUDA, and nothing bridges it",
        "Install driver <driver> or newer (branch <branch> is the one to choose), or "
        "build the bundle with an image for CUDA <cuda>.",
    ),
    (
        "cuda-unknown",
        "unknown",
        "whether the image's CUDA runs on the driver cannot be told",
        "Compare the CUDA version of nvidia-smi with the image's.",
    ),
    (
        "compat-harmful",
        "fail",
        "the image forces a compat library older than the driver: CUDA error 803",
        "Take the compat directory out of /etc/ld.so.conf.d and LD_LIBRARY_PATH of "
        "the image, and build the bundle again.",
    ),
    (
        "compat-wrong-driver",
        "fail",
        "the image forces a compat library that does not take this driver: error 803",
        "Install driver <driver> or newer, or take the compat directory out of the "
        "image.",
    ),
    (
        "compat-wrong-gpu",
        "fail",
        "the image forces a compat library on a GPU it is not made for: error 804",
        "Install driver <driver> or newer, or take the compat directory out of the "
        "image.",
    ),
    (
        "compat-hook",
        "warn",
        "the container toolkit will put the image's compat library in front, and this "
        "GPU does not take it: error 804",
        "nvidia-ctk config --set nvidia-container-runtime.modes.legacy."
        "cuda-compat-mode=disabled --in-place; with CDI: nvidia-ctk cdi generate "
        "--disable-hook enable-cuda-compat --output=/etc/cdi/nvidia.yaml",
    ),
    (
        "compat-unknown",
        "unknown",
        "whether a compat library in the image is in the way is not known",
        "Look for /usr/local/cuda*/compat in the image, and for it in "
        "/etc/ld.so.conf.d.",
    ),
    (
        "image-gpu-dropped",
        "fail",
        "the image's CUDA no longer supports this GPU",
        "Build the bundle with an image for CUDA <cuda> or older.",
    ),
    (
        "image-gpu-too-new",
        "fail",
        "the image's CUDA is older than this GPU",
        "Build the bundle with an image for CUDA <cuda> or newer.",
    ),
    (
        "code-missing",
        "fail",
        "a program in the image has no code for this GPU: CUDA error 209",
        "Build the bundle with a build of it for compute capability <capability>.",
    ),
    (
        "code-ptx-too-new",
        "fail",
        "only PTX would fit this GPU, and the driver is too old to compile it: CUDA "
        "error 222",
        "Install a driver for CUDA <cuda> or newer, or use a build with code for "
        "compute capability <capability>.",
    ),
    (
        "code-jit",
        "note",
        "the driver compiles PTX for this GPU at the first start, which takes minutes",
        "Nothing to do; allow for a slow first start.",
    ),
    (
        "code-unknown",
        "unknown",
        "whether the image has code for this GPU is not known",
        "Of torch, in the image: python3 -c 'import torch; "
        "print(torch.cuda.get_arch_list())'; of a library, with the CUDA toolkit: "
        "cuobjdump --list-elf FILE",
    ),
    (
        "server-gpu-too-old",
        "fail",
        "the server does not support this GPU at all",
        "Use a GPU of compute capability <capability> or newer.",
    ),
    (
        "server-driver-too-old",
        "fail",
        "the server asks for a newer driver on this GPU",
        "Install driver <driver> or newer.",
    ),
    (
        "require-refused",
        "fail",
        "the container toolkit refuses the image (NVIDIA_REQUIRE_*)",
        "<remedy>",
    ),
    (
        "require-maybe-refused",
        "warn",
        "the toolkit would refuse the image, if it is asked: that is not known",
        "If the start fails with 'unsatisfied condition': <remedy>",
    ),
    (
        "require-unenforced",
        "note",
        "the image's NVIDIA_REQUIRE_* does not hold, and on this path nobody checks it",
        "Nothing to do where the findings about CUDA are notes.",
    ),
    (
        "require-malformed",
        "fail note",
        "an NVIDIA_REQUIRE_* cannot be evaluated; a note where nobody checks it",
        "Set NVIDIA_DISABLE_REQUIRE=1 for the service, or correct the image.",
    ),
    (
        "require-unknown",
        "unknown",
        "whether NVIDIA_REQUIRE_* holds cannot be told",
        "docker image inspect -f '{{.Config.Env}}' IMAGE",
    ),
)

_TOOLKIT = (
    (
        "toolkit-missing",
        "fail",
        "the NVIDIA container toolkit is not there, and GPUs are asked for through it",
        "Install nvidia-container-toolkit <version> or newer, then: nvidia-ctk runtime "
        "configure --runtime=docker && systemctl restart docker",
    ),
    (
        "toolkit-unknown",
        "unknown",
        "nothing is known of the container toolkit",
        "nvidia-ctk --version; docker info -f '{{json .Runtimes}}'",
    ),
    (
        "toolkit-not-configured",
        "fail",
        "the engine does not know the runtime nvidia",
        "nvidia-ctk runtime configure --runtime=docker && systemctl restart docker",
    ),
    (
        "toolkit-not-restarted",
        "fail",
        "daemon.json names the runtime nvidia, the running engine does not know it",
        "systemctl restart docker",
    ),
    (
        "toolkit-changed",
        "warn",
        "the toolkit or daemon.json is newer than the start of the engine",
        "systemctl restart docker",
    ),
    (
        "toolkit-mode",
        "fail",
        "config.toml sets a mode with which this form of asking does not work",
        "nvidia-ctk config --set nvidia-container-runtime.mode=auto --in-place",
    ),
    (
        "toolkit-cgroup2",
        "fail",
        "libnvidia-container before 1.8 does not work with cgroup version 2",
        "Install nvidia-container-toolkit <version> or newer.",
    ),
    (
        "toolkit-cve",
        "warn",
        "this version of the container toolkit has known holes",
        "Install nvidia-container-toolkit <version> or newer.",
    ),
    (
        "toolkit-reload",
        "warn",
        "systemctl daemon-reload will take the GPUs away from running containers "
        "('Failed to initialize NVML: Unknown Error')",
        "Use CDI, or: nvidia-ctk system create-dev-char-symlinks --create-all (and a "
        'udev rule for it), or "exec-opts": ["native.cgroupdriver=cgroupfs"]',
    ),
    (
        "cdi-missing",
        "fail",
        "a CDI device is asked for, and there is no CDI specification",
        "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    ),
    (
        "cdi-off",
        "fail",
        "the engine does not do CDI, or it is off",
        'Add "features": {"cdi": true} to /etc/docker/daemon.json (Docker 25 to 28.1; '
        "on from 28.2), then systemctl restart docker",
    ),
    (
        "cdi-device-missing",
        "fail",
        "the CDI specifications do not have the device asked for",
        "nvidia-ctk cdi list; after a change of MIG or GPUs: nvidia-ctk cdi generate "
        "--output=/etc/cdi/nvidia.yaml",
    ),
    (
        "cdi-stale",
        "fail warn",
        "a CDI specification is for another driver than runs, or names files that "
        "are gone; a warning where no service uses CDI",
        "nvidia-ctk cdi generate --output=<path>",
    ),
    (
        "cdi-unknown",
        "unknown",
        "whether CDI is on and has the devices asked for is not known",
        "nvidia-ctk cdi list; docker info -f '{{json .CDISpecDirs}}'",
    ),
)

_MEMORY = (
    (
        "memory-too-small",
        "fail",
        "model and KV cache do not fit the GPU memory at the length asked for",
        "<remedy>",
    ),
    (
        "memory-tight",
        "warn",
        "model and KV cache fit only if the server needs no more than usual besides",
        "If the start fails: <remedy>",
    ),
    (
        "memory-fits",
        "note",
        "model and KV cache fit the GPU memory",
        "Nothing to do.",
    ),
    (
        "memory-busy",
        "warn",
        "something else uses GPU memory that the server needs at its start",
        "nvidia-smi shows who; stop it (it may be the release that is replaced), or "
        "lower --gpu-memory-utilization.",
    ),
    (
        "memory-oversubscribed",
        "fail",
        "several services take more than the whole memory of one GPU",
        "Give each its own device_ids, or lower --gpu-memory-utilization so that the "
        "sum stays below 1.",
    ),
    (
        "memory-spills",
        "warn",
        "the model does not fit the GPU memory, and will partly run on the CPU",
        "<remedy>",
    ),
    (
        "memory-unknown",
        "unknown",
        "whether the model fits cannot be told",
        "Compare the weights' size with nvidia-smi --query-gpu=memory.total "
        "--format=csv",
    ),
    (
        "heads-not-divisible",
        "fail",
        "the model's attention heads cannot be divided by the tensor parallel size",
        "Set --tensor-parallel-size to one of: <sizes>.",
    ),
)


CUDA_KINDS = (
    *(("CUDA and images", *row) for row in _CUDA),
    *(("Container toolkit and CDI", *row) for row in _TOOLKIT),
    *(("GPU memory", *row) for row in _MEMORY),
)
"""Rows of the catalog: theme, slug, levels, meaning, remedy."""
