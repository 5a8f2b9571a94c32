"""What a Hub client raises, told as our errors.

No message carries a token or a full URL: after a redirect a URL holds a signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from sealift_manifests.errors import (
    OutputError,
    RevisionError,
    SealiftError,
    SourceContentError,
    SourceUnreachableError,
    SpecError,
)

# The base error of the HTTP library: httpx in the client's 1.x, httpx2 in its 2.x.
TRANSPORT_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]

_NOT_A_HUB_HINT = (
    "Check HF_ENDPOINT, and that no proxy or login page stands between this "
    "machine and the Hub."
)


@dataclass(frozen=True)
class Asked:
    """What was being asked of which Hub, for messages."""

    endpoint: str
    repo: str
    revision: str
    path: str | None = None

    @property
    def hub(self) -> str:
        """The Hub's address without credentials and path."""
        parts = urlsplit(self.endpoint)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}"

    @property
    def what(self) -> str:
        """Repo, revision and, if it was about one, the file."""
        tail = f"/{self.path}" if self.path else ""
        return f"{self.repo}@{self.revision}{tail}"


@contextmanager
def told_as_ours(asked: Asked) -> Iterator[None]:
    """Turn the client's errors, raised inside, into ours."""
    try:
        yield
    except HFValidationError as error:
        raise SpecError(
            f"{asked.repo!r} is not the name of a Hub repo",
            hint="Write it as owner/name, as on the model's page.",
        ) from error
    except (TRANSPORT_ERROR, OSError) as error:
        raise _translated(error, asked) from error


@contextmanager
def read_as_a_hubs(asked: Asked) -> Iterator[None]:
    """Inside, an answer of another shape than a Hub's is told as such."""
    try:
        yield
    except (HFValidationError, TRANSPORT_ERROR, OSError):
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise not_a_hub(asked) from error


def not_a_hub(asked: Asked) -> SourceUnreachableError:
    """Something answered, and not as a Hub does."""
    return SourceUnreachableError(
        f"{asked.hub} does not answer as a Hugging Face Hub (asked for {asked.what})",
        hint=_NOT_A_HUB_HINT,
    )


def _translated(error: Exception, asked: Asked) -> SealiftError:
    if isinstance(error, HfHubHTTPError):
        return _refused(error, asked)
    if isinstance(error, OfflineModeIsEnabled):
        return SourceUnreachableError(
            f"{asked.what} cannot be fetched: the Hub client is switched to offline",
            hint="Unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE) and run again.",
        )
    if isinstance(error, LocalEntryNotFoundError):
        # The client hides why it could not reach the Hub behind "not in the cache".
        cause = error.__cause__
        return (
            _translated(cause, asked)
            if isinstance(cause, Exception)
            else _silent(error, asked)
        )
    if isinstance(error, FileMetadataError):
        return not_a_hub(asked)
    if isinstance(error, OSError) and error.errno is not None:
        return _not_kept(error, asked)
    if "Consistency check failed" in str(error):
        # How the client reports a body of another length: an OSError without number.
        return wrong_size(asked)
    return _silent(error, asked)


def _refused(error: HfHubHTTPError, asked: Asked) -> SealiftError:
    status = error.response.status_code
    if isinstance(error, RevisionNotFoundError):
        return RevisionError(
            f"{asked.repo} has no revision {asked.revision!r} on {asked.hub}",
            hint="Look up the commit on the model's page, under Files, History.",
        )
    if isinstance(error, RemoteEntryNotFoundError):
        return RevisionError(
            f"{asked.what} does not exist on {asked.hub}",
            hint="The repo changed while it was read. Run the build again.",
        )
    if isinstance(error, GatedRepoError) or status in (401, 403):
        return _token_needed(error, asked)
    if isinstance(error, RepositoryNotFoundError):
        return RevisionError(
            f"there is no repo {asked.repo} on {asked.hub}",
            hint="Check the name. If it is private, set HF_TOKEN to a token that "
            "may read it.",
        )
    return SourceUnreachableError(
        f"{asked.hub} answered {asked.what} with HTTP status {status}",
        hint="429 and 5xx pass: wait and run again, what was fetched is kept. "
        "For others, " + _NOT_A_HUB_HINT[0].lower() + _NOT_A_HUB_HINT[1:],
    )


def _token_needed(error: HfHubHTTPError, asked: Asked) -> SourceUnreachableError:
    status = error.response.status_code
    why = (
        "is gated, and its licence was not accepted by this account"
        if isinstance(error, GatedRepoError)
        else "does not exist, or this account may not read it"
    )
    return SourceUnreachableError(
        f"{asked.hub} refused {asked.what} (HTTP status {status}): it {why}",
        hint=f"Accept the licence on {asked.hub}/{asked.repo}, then set HF_TOKEN to a "
        "read token of the account that accepted it. Check the name as well: a Hub "
        "hides repos that do not exist in the same way.",
    )


def _silent(error: Exception, asked: Asked) -> SourceUnreachableError:
    # Only the kind: the text of a transport error may quote a signed URL.
    kind = type(error).__name__
    return SourceUnreachableError(
        f"{asked.hub} did not answer for {asked.what} ({kind})",
        hint="Check the network, the proxy settings and HF_ENDPOINT, and run again: "
        "files that are complete are kept.",
    )


def wrong_size(asked: Asked) -> SourceContentError:
    """A file arrived with another size than the commit's listing gives it."""
    return SourceContentError(
        f"{asked.hub} sent {asked.what} with another size than it states",
        hint="Run the build again. If it stays so, the Hub's copy is damaged: "
        "take another commit or tell the publisher.",
    )


def _not_kept(error: OSError, asked: Asked) -> SealiftError:
    place = f" ({error.filename})" if error.filename else ""
    return OutputError(
        f"{asked.what} cannot be kept in the cache: {error.strerror}{place}",
        hint="Make room there, or choose another cache directory, and run again: "
        "files that are complete are kept.",
    )
