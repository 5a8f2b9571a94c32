"""Why a container does not serve, by what servers and engines really say."""

import pytest
from sealift_installer.causes import RULES
from sealift_installer.container_log import without_colours
from sealift_installer.diagnosis import Evidence, causes_of

GIB = 1 << 30

LOGS = [
    # PyTorch 2, PyTorch 1, llama.cpp
    (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 22.00 MiB. GPU "
        "0 has a total capacity of 23.65 GiB of which 11.06 MiB is free. Including "
        "non-PyTorch memory, this process has 23.60 GiB memory in use.",
        "gpu-memory-full",
        "GPU 0 has no room: 22.00 MiB more were wanted, 11.06 MiB of 23.65 GiB are "
        "free",
    ),
    (
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.70 GiB. "
        "GPU 1 has a total capacty of 6.00 GiB of which 0 bytes is free.",
        "gpu-memory-full",
        "GPU 1 has no room: 1.70 GiB more were wanted, 0 bytes of 6.00 GiB are free",
    ),
    (
        "RuntimeError: CUDA out of memory. Tried to allocate 12.50 MiB (GPU 0; 10.92 "
        "GiB total capacity; 8.57 MiB already allocated; 9.28 GiB free; 4.68 MiB "
        "cached)",
        "gpu-memory-full",
        "GPU 0 has no room: 12.50 MiB more were wanted, 9.28 GiB of 10.92 GiB are free",
    ),
    (
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 5123.00 MiB on device "
        "0: cudaMalloc failed: out of memory",
        "gpu-memory-full",
        "GPU 0 has no room: 5123.00 MiB more were wanted",
    ),
    # vLLM
    (
        "ValueError: Free memory on device (59.32/79.15 GiB) on startup is less than "
        "desired GPU memory utilization (0.9, 71.24 GiB). Decrease GPU memory "
        "utilization or reduce GPU memory used by other processes.",
        "gpu-memory-busy",
        "of the GPU's 79.15 GiB only 59.32 are free, and vLLM wants 71.24 (a share of "
        "0.9)",
    ),
    (
        "ValueError: Free memory on device cuda:0 (19.77/22.05 GiB) on startup is less "
        "than desired GPU memory utilization (0.9, 19.84 GiB).",
        "gpu-memory-busy",
        "only 19.77 are free",
    ),
    (
        "ValueError: To serve at least one request with the models's max seq len "
        "(262144), (24.0 GiB KV cache is needed, which is larger than the available KV "
        "cache memory (3.18 GiB). Based on the available memory, the estimated maximum "
        "model length is 34736. Try increasing `gpu_memory_utilization`",
        "context-too-long",
        "a context of 262144 tokens needs 24.0 GiB of KV cache, and 3.18 GiB are left "
        "beside the weights: enough for 34736 tokens",
    ),
    (
        "ValueError: To serve at least one request with the models's max seq len "
        "(1048576), (24.00 GiB KV cache is needed, which is larger than the available "
        "KV cache memory (9.97 GiB). Try increasing `gpu_memory_utilization`",
        "context-too-long",
        "needs 24.00 GiB of KV cache, and 9.97 GiB are left beside the weights",
    ),
    (
        "ValueError: The model's max seq len (32768) is larger than the maximum number "
        "of tokens that can be stored in KV cache (7344). Try increasing "
        "`gpu_memory_utilization` or decreasing `max_model_len`",
        "context-too-long",
        "a context of 32768 tokens does not fit: the KV cache takes 7344",
    ),
    # CUDA and the driver
    (
        "RuntimeError: CUDA error: no kernel image is available for execution on the "
        "device",
        "code-missing",
        "",
    ),
    (
        "RuntimeError: The NVIDIA driver on your system is too old. CUDA driver "
        "version is insufficient for CUDA runtime version",
        "cuda-driver-too-old",
        "",
    ),
    (
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 804: forward "
        "compatibility was attempted on non supported HW",
        "compat-wrong-gpu",
        "",
    ),
    # shared memory
    (
        "include/shm.h:48 NCCL WARN Error while creating shared memory segment "
        "nccl-shm-recv-250a7cc850ba9298-0-1-3 (size 9637888)",
        "shared-memory-too-small",
        "/dev/shm",
    ),
    (
        "gpu2-ru7:2143:2561 [1] include/shm.h:28 NCCL WARN Call to posix_fallocate "
        "failed : No space left on device",
        "shared-memory-too-small",
        "/dev/shm",
    ),
    (
        "RuntimeError: DataLoader worker (pid 53) is killed by signal: Bus error. It "
        "is possible that dataloader's workers are out of shared memory.",
        "shared-memory-too-small",
        "/dev/shm",
    ),
    ("OSError: [Errno 28] No space left on device", "disk-full", "a disk is full"),
    # the model
    (
        "gguf_init_from_file: failed to open GGUF file "
        "'/models/mistral-7b-v0.1.Q8_0.gguf' (errno No such file or directory)",
        "model-not-found",
        "/models/mistral-7b-v0.1.Q8_0.gguf",
    ),
    (
        "OSError: /model is not a local folder and is not a valid model identifier "
        "listed on 'https://huggingface.co/models'",
        "model-not-found",
        "the server does not find its model: /model",
    ),
    (
        '{"error":{"message":"model \\"llama3\\" not found, try pulling it first"}}'
        "\nError: model 'llama3' not found",
        "model-not-found",
        "llama3",
    ),
    (
        "The checkpoint you are trying to load has model type `qwen3_next` but "
        "Transformers does not recognize this architecture. This could be because of "
        "an issue with the checkpoint",
        "server-too-old",
        "qwen3_next",
    ),
    (
        "llama_model_load: error loading model: error loading model architecture: "
        "unknown model architecture: 'gemma3n'",
        "server-too-old",
        "gemma3n",
    ),
    (
        "ValueError: Loading /model requires you to execute the configuration file in "
        "that repo on your local machine. Make sure you have read the code there to "
        "avoid malicious use, then set the option `trust_remote_code=True` to remove "
        "this error.",
        "weights-code-not-trusted",
        "brings code of its own",
    ),
    # what wants the network
    (
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find the requested "
        "files in the disk cache and outgoing traffic has been disabled.",
        "wants-network",
        "from outside",
    ),
    (
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, "
        "and couldn't find them in the cached files.",
        "wants-network",
        "from huggingface.co",
    ),
    (
        "ConnectionError: HTTPSConnectionPool(host='huggingface.co', port=443): Max "
        "retries exceeded with url: /api/models/THUDM/chatglm-6b",
        "wants-network",
        "from huggingface.co",
    ),
    (
        'Error: pull model manifest: Get "https://registry.ollama.ai/v2/library/llama3'
        '/manifests/latest": dial tcp: lookup registry.ollama.ai on 127.0.0.11:53: '
        "server misbehaving",
        "wants-network",
        "from registry.ollama.ai",
    ),
    # files, ports, arguments, programs
    (
        "PermissionError: [Errno 13] Permission denied: '/home/user/cache_root'",
        "permission-denied",
        "may not use /home/user/cache_root",
    ),
    (
        "Error: open /root/.ollama/id_ed25519: permission denied",
        "permission-denied",
        "/root/.ollama/id_ed25519",
    ),
    (
        "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', "
        "8000): address already in use",
        "address-in-use",
        "port 8000 inside the container",
    ),
    (
        "Error: listen tcp 0.0.0.0:11434: bind: address already in use",
        "address-in-use",
        "port 11434 inside the container",
    ),
    (
        "usage: vllm [-h] ...\nvllm: error: unrecognized arguments: --max-len 4096",
        "argument-unknown",
        "--max-len 4096",
    ),
    (
        "error: unexpected argument '--max-length' found\n\n  tip: a similar argument "
        "exists: '--max-total-tokens'",
        "argument-unknown",
        "--max-length",
    ),
    ("error: invalid argument: --ctx", "argument-unknown", "--ctx"),
    ("Error: unknown flag: --hosts", "argument-unknown", "--hosts"),
    (
        "exec /usr/bin/python3: exec format error",
        "wrong-architecture",
        "another kind of CPU",
    ),
]

ENGINES = [
    (
        "Error response from daemon: driver failed programming external connectivity "
        "on endpoint node-node-q (0d28a52286a8): Bind for 0.0.0.0:6060 failed: port is "
        "already allocated",
        "port-taken",
        "port 6060 of this host",
    ),
    (
        "driver failed programming external connectivity on endpoint web: Error "
        "starting userland proxy: listen tcp4 127.0.0.1:8000: bind: address already in "
        "use",
        "port-taken",
        "port 8000 of this host",
    ),
    (
        "failed to set up container networking: driver failed programming external "
        "connectivity on endpoint web: failed to bind host port for 127.0.0.1:8000:"
        "172.18.0.2:8000/tcp: address already in use",
        "port-taken",
        "port 8000 of this host",
    ),
    (
        'could not select device driver "" with capabilities: [[gpu]]',
        "toolkit-missing",
        "",
    ),
    (
        'could not select device driver "nvidia" with capabilities: [[gpu]]',
        "toolkit-missing",
        "",
    ),
    (
        "nvidia-container-cli: initialization error: load library failed: "
        "libnvidia-ml.so.1: cannot open shared object file: no such file or "
        "directory: unknown",
        "driver-library-missing",
        "",
    ),
    (
        "nvidia-container-cli: initialization error: nvml error: driver not loaded",
        "driver-not-loaded",
        "",
    ),
    (
        'OCI runtime create failed: exec: "vllm": executable file not found in $PATH: '
        "unknown",
        "program-missing",
        "no program vllm",
    ),
    (
        'invalid mount config for type "bind": bind source path does not exist: '
        "/srv/docs",
        "mount-missing",
        "/srv/docs",
    ),
    (
        "failed to create shim task: write /var/lib/docker/x: no space left on device",
        "disk-full",
        "a disk is full",
    ),
]


@pytest.mark.parametrize(("log", "slug", "words"), LOGS)
def test_a_server_says_why_it_does_not_serve(log, slug, words):
    (cause, *more) = causes_of(Evidence(log=f"INFO starting\n{log}\nbye", exit_code=1))

    assert (cause.slug, more) == (slug, [])
    assert words in cause.what
    assert cause.remedy and "{" not in str(cause)


@pytest.mark.parametrize(("text", "slug", "words"), ENGINES)
def test_an_engine_says_why_it_starts_nothing(text, slug, words):
    (cause,) = causes_of(Evidence(engine=text))

    assert cause.slug == slug
    assert words in cause.what
    assert cause.remedy


def test_every_rule_is_shown_a_text_of_its_kind():
    shown = {slug for _, slug, _ in (*LOGS, *ENGINES)}

    assert {rule.slug for rule in RULES} - shown == set()


def test_what_the_kernel_killed_is_told_with_its_limit():
    killed = Evidence(exit_code=137, out_of_memory=True, memory_limit=32 * GIB)

    (limited,) = causes_of(killed)
    (full,) = causes_of(Evidence(exit_code=137, out_of_memory=True))
    (somebody,) = causes_of(Evidence(exit_code=137))

    assert limited.slug == "host-memory-limit" and "32.0 GiB" in limited.what
    assert full.slug == "host-memory-full"
    assert somebody.slug == "killed"


def test_what_a_signal_tells_is_said():
    assert [c.slug for c in causes_of(Evidence(exit_code=132))] == ["cpu-too-old"]
    assert [c.slug for c in causes_of(Evidence(exit_code=135))] == [
        "shared-memory-too-small"
    ]


def test_the_root_of_several_errors_is_told_and_colours_do_not_hide_it():
    log = (
        "\x1b[1;36m(EngineCore_DP0 pid=9)\x1b[0;0m ValueError: The model's max seq "
        "len (\x1b[31m32768\x1b[0m) is larger than the maximum number of tokens that "
        "can be stored in KV cache (7344).\n"
        "RuntimeError: Engine core initialization failed. See root cause above."
    )

    told = Evidence(log=without_colours(log))
    assert [c.slug for c in causes_of(told)] == ["context-too-long"]


@pytest.mark.parametrize(
    "log", ["", "INFO: Application startup complete.", "Killed", "exit 1\n" * 100]
)
def test_nothing_is_guessed(log):
    assert causes_of(Evidence(log=log, exit_code=1)) == ()
