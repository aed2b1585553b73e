"""What can be wrong with a document that is to be read."""

from __future__ import annotations

from server.kernel.errors import FailedPrecondition, InvalidArgument, ResourceExhausted


class DocumentTypeUnsupported(InvalidArgument):
    """The document is {type}, which is not read here: what is are {supported}."""

    def __init__(self, type: str, supported: str, field: str = "mime_type") -> None:
        super().__init__([(field, f"is {type}, which is not read here")], type=type, supported=supported)


class DocumentUnreadable(FailedPrecondition):
    """The document cannot be read: {problem}."""

    def __init__(self, problem: str, subject: str = "document") -> None:
        super().__init__(subject, problem=problem)


class DocumentEncrypted(FailedPrecondition):
    """The document is encrypted: upload it without a password."""

    def __init__(self, subject: str = "document") -> None:
        super().__init__(subject)


class DocumentWithoutText(FailedPrecondition):
    """The document has no text in it: of a scan, upload what text recognition makes of it."""

    def __init__(self, subject: str = "document") -> None:
        super().__init__(subject)


class DocumentTooLarge(FailedPrecondition):
    """The document is too large to be read: it has more than {most}."""

    def __init__(self, most: str, subject: str = "document") -> None:
        super().__init__(subject, most=most)


class DocumentTooHeavy(FailedPrecondition):
    """The document takes more time or memory than the server allows for one."""

    def __init__(self, subject: str = "document") -> None:
        super().__init__(subject)


class DocumentUrlRefused(InvalidArgument):
    """The address {problem}."""

    def __init__(self, problem: str, field: str = "url") -> None:
        super().__init__([(field, problem)], problem=problem)


class DocumentNotFetched(FailedPrecondition):
    """The document could not be fetched: {problem}."""

    def __init__(self, problem: str, subject: str = "document") -> None:
        super().__init__(subject, problem=problem)


class DocumentsBusy(ResourceExhausted):
    """As many documents are being read as the server takes at once: try again shortly."""
