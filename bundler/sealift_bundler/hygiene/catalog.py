"""Every slug of this kind: its level, what should be so, and what to do about it."""

from __future__ import annotations

from sealift_manifests.preflight.findings import Finding

_ROWS = (
    (
        "image-runs-as-root",
        "warn",
        "a user of its own: who gets out of the server is root on the host else",
        "Write USER 1000:1000 into the Dockerfile, or user: '1000:1000' into the "
        "service; what it writes must belong to that user.",
    ),
    (
        "image-no-healthcheck",
        "warn",
        "a health check: without one `start` can tell loading from serving only of "
        "servers that it knows",
        "Write HEALTHCHECK into the Dockerfile or healthcheck: into the service, with "
        "a start period that the loading of the model fits into.",
    ),
    (
        "image-base-unpinned",
        "warn",
        "a base that is the same tomorrow",
        "Write FROM NAME:VERSION@sha256:DIGEST; `docker buildx imagetools inspect "
        "NAME:VERSION` tells the digest.",
    ),
    (
        "image-argument-secret",
        "warn",
        "build arguments that may be read by all: they stay in the image's history",
        "Hand it over under `secrets:` and read it with RUN --mount=type=secret.",
    ),
    (
        "image-devel-base",
        "note",
        "the runtime alone: compilers and headers serve nobody on the host",
        "Build in a devel stage and COPY --from it into a final stage on the runtime "
        "or base variant of the same image.",
    ),
    (
        "image-distribution-old",
        "warn",
        "a distribution that still gets security updates",
        "Build on a newer release of the distribution, or pull a newer image.",
    ),
    (
        "image-weights-writable",
        "warn",
        "weights that nobody in the container can change",
        "COPY --chown=0:0 --chmod=0444 them, or say read_only: true in the service.",
    ),
    (
        "service-downloads",
        "warn",
        "everything it needs in the bundle: on the host nothing can be fetched",
        "Carry what it fetches as a model or inside of the image, and leave the "
        "command out.",
    ),
    (
        "network-external",
        "warn",
        "networks that Compose makes itself: an external one must be on the host, or "
        "the stack does not start",
        "Leave `external` out, or have the operator run `docker network create NAME` "
        "before the first start.",
    ),
    (
        "volume-external",
        "warn",
        "volumes that Compose makes itself: an external one must be on the host, or "
        "the stack does not start",
        "Leave `external` out, carry what is in it, or have the operator run `docker "
        "volume create NAME` before the first start.",
    ),
    (
        "service-pull-policy",
        "note",
        "`never`, which is what the host gets: nothing can be pulled there",
        "Nothing has to be done; leave `pull_policy` out to say so yourself.",
    ),
    (
        "service-build-section",
        "note",
        "the image alone, which is what the host gets: nothing is built there",
        "Build it in the spec (images: {NAME: {build: ...}}) if the bundle shall carry "
        "what this section builds.",
    ),
    (
        "variable-unset",
        "note",
        "a value: on the host nobody gives one, and the container goes without",
        "Give it in .env beside the Compose file when you build, or leave it out.",
    ),
    (
        "offline-switch-missing",
        "warn",
        "the switches that keep the server from looking outside: each attempt is a "
        "wait until it times out",
        "Set them under environment: of the service.",
    ),
)
_BY_SLUG = {slug: (level, needed, remedy) for slug, level, needed, remedy in _ROWS}
SLUGS = frozenset(_BY_SLUG)


def advice(slug: str, about: str, measured: str) -> Finding:
    """Return a finding of this kind."""
    level, needed, remedy = _BY_SLUG[slug]
    return Finding(level, slug, about, measured, needed, remedy)
