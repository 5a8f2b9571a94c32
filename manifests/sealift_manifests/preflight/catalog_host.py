"""The slugs about the machine and its container engine."""

from __future__ import annotations

_MACHINE = (
    (
        "platform-wrong",
        "fail",
        "the machine's architecture is not the bundle's",
        "Build the bundle for <platform>.",
    ),
    (
        "python-too-old",
        "fail",
        "the installer needs Python 3.8 or newer",
        "Install a python3 of the distribution that is 3.8 or newer.",
    ),
    (
        "clock-behind",
        "warn",
        "the clock is before the time the bundle, or the tables, were made",
        "Set the clock: date -u -s 'YYYY-MM-DD HH:MM:SS', then hwclock --systohc.",
    ),
    (
        "clock-unsynced",
        "note",
        "nothing keeps the clock right",
        "Compare the clock with another: date -u.",
    ),
    (
        "port-taken",
        "fail warn",
        "a port that a service publishes is in use; a warning where a container has "
        "it, which may be the release that is replaced",
        "See what listens with ss -ltnp 'sport = :<port>', and stop it or publish "
        "another port.",
    ),
    (
        "port-shared",
        "fail",
        "several containers of a service publish one port, and only the first gets it",
        "Have one container of the service, or publish no port of it.",
    ),
    (
        "ports-unknown",
        "unknown",
        "the ports in use, or those of a service, are not known",
        "Compare ss -ltn with the ports of the Compose file.",
    ),
    (
        "disk-full",
        "fail",
        "a file system has not the room the bundle takes",
        "Free <short> there, or put the directory on a larger file system.",
    ),
    (
        "disk-inodes",
        "fail",
        "a file system has not the inodes the bundle takes",
        "Remove small files there, or use a file system with more inodes.",
    ),
    (
        "disk-unknown",
        "unknown",
        "the room on a file system, or what the bundle takes, is not known",
        "Compare df -B1 and df -i of <path> with the sizes of the bundle.",
    ),
    (
        "needs-unread",
        "unknown",
        "a note of the manifest cannot be read",
        "Check with the people who built the bundle what it says there.",
    ),
    (
        "probe-failed",
        "unknown",
        "something could not be read on the host",
        "Run the survey again as root.",
    ),
    (
        "tables-unread",
        "note",
        "NVIDIA tables that a signed bundle carries cannot be read here; older ones "
        "were used",
        "Nothing to do for hardware and drivers older than the tables used. The "
        "installer in that bundle may read them: verify it as its INSTALL.md says, "
        "and run its preflight.",
    ),
)

_ENGINE = (
    (
        "engine-missing",
        "fail",
        "there is no container engine",
        "Install Docker from your distribution's offline repository.",
    ),
    (
        "engine-down",
        "fail",
        "the container engine does not answer",
        "systemctl start docker",
    ),
    (
        "engine-permission",
        "fail",
        "the container engine may not be asked",
        "Run as root.",
    ),
    (
        "engine-unknown",
        "unknown",
        "nothing is known of the container engine",
        "docker version && docker info",
    ),
    (
        "engine-too-old",
        "fail",
        "the engine is older than what the bundle needs",
        "Install Docker <version> or newer.",
    ),
    (
        "engine-snap",
        "warn",
        "Docker from a snap does not see the driver's libraries",
        "Install Docker from a package of the distribution: snap remove docker",
    ),
    (
        "engine-rootless-cgroups",
        "warn",
        "a rootless engine cannot set device rules, and the toolkit will try",
        "Use CDI, or: nvidia-ctk config --set nvidia-container-cli.no-cgroups "
        "--in-place (this weakens rootful containers)",
    ),
    (
        "podman-too-old",
        "fail",
        "Podman before 4.1 does not know CDI devices",
        "Install Podman 4.1 or newer, or use Docker.",
    ),
    (
        "podman-gpu-form",
        "fail",
        "Podman gives GPUs as CDI devices only; this form gives none",
        "Ask for devices: [nvidia.com/gpu=all] in the Compose file.",
    ),
    (
        "podman-selinux",
        "warn",
        "SELinux keeps Podman's containers from the GPU",
        "Add security_opt: [label=disable] to the service.",
    ),
    (
        "compose-missing",
        "fail",
        "there is no Compose",
        "Install the Compose plugin in /usr/local/lib/docker/cli-plugins.",
    ),
    (
        "compose-too-old",
        "fail",
        "this Compose refuses or ignores how a service asks for GPUs",
        "Install Compose <version> or newer, or write deploy: {resources: "
        "{reservations: {devices: [{driver: nvidia, count: all, capabilities: "
        "[gpu]}]}}}",
    ),
    (
        "compose-v1",
        "warn",
        "docker-compose 1.x was made for older engines than this one",
        "Install Compose 2 as a plugin.",
    ),
    (
        "compose-unknown",
        "unknown",
        "whether this Compose takes how a service asks for GPUs is not known",
        "docker compose version",
    ),
)


HOST_KINDS = (
    *(("Machine", *row) for row in _MACHINE),
    *(("Engine", *row) for row in _ENGINE),
)
"""Rows of the catalog: theme, slug, levels, meaning, remedy."""
