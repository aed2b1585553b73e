"""Bytes as the text that they are, whichever charset that is in."""

from __future__ import annotations

import codecs
import re

from server.knowledge.errors import DocumentUnreadable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSETS = ["gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1252", "cp1251", "cp1250", "cp1253", "koi8_r"]
"""What text on the web is in, apart from Unicode. Of few bytes more could be made out than is true."""

_SAMPLE = 1 << 15
_FEW = 64
_PAIR = re.compile(b"[\x80-\xff]{2}")
_HIGH = re.compile(b"[\x80-\xff]+")
_NO_LEAD = bytes(range(0xC0))
"""Bytes that begin no character of several in UTF-8."""

_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1b"))


def decoded(data: bytes, declared: str | None = None) -> str:
    """The text. `declared`: the charset that the document says it is in. Raises DocumentUnreadable."""
    for bom, unicode in _BOMS:
        if data.startswith(bom):
            return data[len(bom) if unicode == "utf-8" else 0 :].decode(unicode, "replace")
    if _binary(data):
        raise DocumentUnreadable("it is not text")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        # One that is cut off, or has a few bytes of another charset in it, is no text in another charset.
        text = data.decode(errors="replace")
        broken, right = text.count("\ufffd"), len(data.translate(None, _NO_LEAD))
        cut_off = error.start >= len(data) - 3 and not data[: error.start].isascii()
        if cut_off or broken * 20 < right:
            return text
    charset = _known(declared) or _detected(data)
    if charset is None:
        raise DocumentUnreadable("its charset is not one that is known: save it as UTF-8")
    return data.decode(charset, "replace")


def looks_like_text(head: bytes) -> bool:
    """Whether these first bytes may be those of a text."""
    return any(head.startswith(bom) for bom, _ in _BOMS) or not _binary(head)


def _binary(data: bytes) -> bool:
    sample = data[:_SAMPLE]
    return len(sample) - len(sample.translate(None, _CONTROL)) > len(sample) // 100


def _known(charset: str | None) -> str | None:
    if charset is None:
        return None
    try:
        name = codecs.lookup(charset.strip().lower()).name
        "".encode(name)  # some are no charsets of text
    except (LookupError, ValueError, UnicodeError):
        return None
    # As browsers do: what is called by the older name is mostly in the newer.
    name = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252", "ascii": "cp1252"}.get(name, name)
    return name if name in _BROWSERS else None


_BROWSERS = {codecs.lookup(name).name for name in [*_CHARSETS, "utf-8", "cp932", "big5hkscs", "cp949", "koi8-u"]} | {
    codecs.lookup(f"{family}{number}").name
    for family, numbers in (("iso8859-", [2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16]), ("cp", range(1250, 1259)))
    for number in numbers
}


def _detected(data: bytes) -> str | None:
    first = _HIGH.search(data)
    assert first is not None  # or it were UTF-8
    begin = data.rfind(b"\n", 0, first.start()) + 1 if first.start() < _SAMPLE else first.start()
    sample = data[begin : begin + _SAMPLE]
    if not _PAIR.search(sample):  # characters of two bytes would stand beside each other
        return "cp1252"
    if sum(map(len, _HIGH.findall(sample))) < _FEW and _decodes(sample, "gb2312"):
        return "gb18030"  # so few bytes might be others' too
    from charset_normalizer import from_bytes  # only where it is asked, which is not where calls are served

    best = from_bytes(sample, cp_isolation=_CHARSETS).best()
    if best is None:
        return None
    return {"shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs"}.get(best.encoding, best.encoding)


def _decodes(data: bytes, charset: str) -> bool:
    try:
        data.decode(charset)
    except UnicodeDecodeError:
        return False
    return True
