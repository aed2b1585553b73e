"""Which type a document is of: its content says more than its name, and its name more than whoever sent it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from server.knowledge.errors import DocumentTypeUnsupported
from server.knowledge.parsing.charset import looks_like_text

PLAIN, MARKDOWN, HTML, PDF = "text/plain", "text/markdown", "text/html", "application/pdf"
CSV, JSON = "text/csv", "application/json"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SUPPORTED = (PLAIN, MARKDOWN, HTML, PDF, DOCX, CSV, JSON)

HEAD_BYTES = 4_096
"""First bytes of a document that its type is seen in."""

_ALIASES = {
    "text/x-markdown": MARKDOWN,
    "application/xhtml+xml": HTML,
    "application/x-pdf": PDF,
    "text/json": JSON,
    "application/x-ndjson": JSON,
    "application/jsonl": JSON,
    "application/csv": CSV,
    "text/tab-separated-values": CSV,
}
_EXTENSIONS = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd"), MARKDOWN),
    **dict.fromkeys((".html", ".htm", ".xhtml"), HTML),
    **dict.fromkeys((".txt", ".text", ".log"), PLAIN),
    **dict.fromkeys((".csv", ".tsv"), CSV),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), JSON),
}
_OTHERS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an older or an encrypted file of Office's"),
    (b"{\\rtf", "application/rtf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"%!PS", "application/postscript"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"\x7fELF", "an executable"),
    (b"MZ\x90\0", "an executable"),
)
_ANYTHING = ("application/octet-stream", "binary/octet-stream", "application/force-download")
"""What servers say that do not know."""

_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([\w.:+-]{1,40})""", re.IGNORECASE)
_PARTS = ((b"word/", DOCX), (b"xl/", "a workbook of Excel's"), (b"ppt/", "a presentation of PowerPoint's"))
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)[\s>]", re.I | re.S
)


def detect(file_name: str | None, declared: str | None, head: bytes) -> str:
    """The MIME type, one of SUPPORTED. `head`: the first HEAD_BYTES. Raises DocumentTypeUnsupported."""
    head = head[:HEAD_BYTES]
    name = _EXTENSIONS.get(PurePosixPath(file_name or "").suffix.lower())
    said = (declared or "").partition(";")[0].strip().lower()
    said = _ALIASES.get(said, said)
    if b"%PDF-" in head[:1024]:
        return PDF
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archive(head, file_name or "", said)
    for signature, kind in _OTHERS:
        if head.startswith(signature):
            raise unsupported(kind)
    if not looks_like_text(head):
        raise unsupported(said if said and said not in SUPPORTED else "of a type that is not known")
    if name != MARKDOWN and _PAGE.match(head):
        return HTML
    if name is not None:
        return name
    return said if said in (MARKDOWN, HTML, CSV, JSON) else PLAIN


def detect_fetched(file_name: str | None, declared: str, head: bytes) -> str:
    """The same of what a server sent: where its content does not say, it is no text if the server says it is something
    else, such as a script or a drawing. Raises DocumentTypeUnsupported.
    """
    found, said = detect(file_name, declared, head), declared.partition(";")[0].strip().lower()
    if found == PLAIN and said not in ("", *_ANYTHING) and not said.startswith("text/"):
        raise unsupported(said)
    return found


def charset_of(declared: str) -> str | None:
    """The charset that a media type names."""
    found = _CHARSET.search(declared)
    return None if found is None else found[1]


def unsupported(kind: str) -> DocumentTypeUnsupported:
    return DocumentTypeUnsupported(kind[:200], ", ".join(SUPPORTED))


def _archive(head: bytes, file_name: str, said: str) -> str:
    for part, kind in _PARTS:
        if part in head:
            if kind == DOCX:
                return DOCX
            raise unsupported(kind)
    if file_name.lower().endswith(".docx") or (said == DOCX and "." not in file_name):
        return DOCX  # whose first parts are others
    raise unsupported("application/zip")
