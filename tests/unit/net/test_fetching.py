"""What is fetched from an address, and what is not: nothing private, endless, slow or larger than it may be."""

from __future__ import annotations

import gzip
import socket
import zlib
from collections.abc import AsyncIterator

import pytest

from server.net.addresses import AddressRefused
from server.net.fetching import MOST_HOPS, Fetched, Fetcher, FetchFailed, Head, UrlRefused, check_url
from server.net.ways import public_socket
from tests.fakes.web import Answer, WebStub, endless, moved, page, silent

MOST = 100_000
LONG = b"All there is to say. " * 1_000


@pytest.fixture
async def web() -> AsyncIterator[WebStub]:
    async with WebStub() as running:
        yield running


def _wanted(head: Head) -> None:
    """Whatever comes is."""


async def _fetched(web: WebStub, answer: Answer, seconds: float = 20.0) -> Fetched:
    web.pages["/page"] = answer
    return await Fetcher(MOST, guarded=False, seconds=seconds)(web.url("/page"), _wanted)


async def _failure(web: WebStub, answer: Answer, seconds: float = 20.0) -> str:
    with pytest.raises(FetchFailed) as failure:
        await _fetched(web, answer, seconds)
    return str(failure.value)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("", LONG), ("identity", LONG), ("gzip", gzip.compress(LONG)), ("deflate", zlib.compress(LONG))],
)
async def test_what_lies_there_comes_unpacked(web: WebStub, encoding: str, packed: bytes) -> None:
    fetched = await _fetched(web, page(packed, "text/plain; charset=utf-8", content_encoding=encoding))

    assert fetched.content == LONG
    assert fetched.head == Head("text/plain; charset=utf-8", "page", LONG[:4096])


async def test_nothing_of_ours_is_sent_and_no_cookie_is_kept(web: WebStub) -> None:
    web.pages["/second"] = page(b"There")

    await _fetched(web, page(b"", status="302 Found", location="/second", set_cookie="a=b"))

    names = {line.partition(":")[0].lower() for head in web.asked for line in head.splitlines()[1:] if line}
    assert names == {"host", "user-agent", "accept", "accept-encoding"}


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="report.pdf"', "report.pdf"),
        ("attachment; filename*=UTF-8''%E8%AE%BA%E6%96%87.pdf", "论文.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("inline", "page"),
    ],
)
async def test_a_file_is_called_as_its_server_says_or_as_its_address_ends(
    web: WebStub, disposition: str, name: str
) -> None:
    assert (await _fetched(web, page(b"x", content_disposition=disposition))).head.file_name == name


async def test_it_is_followed_to_where_it_moved_but_not_for_ever(web: WebStub) -> None:
    for hop in range(MOST_HOPS):
        web.pages[f"/{hop}"] = moved(f"{hop + 1}")
    web.pages[f"/{MOST_HOPS}"] = page(b"There")

    assert (await Fetcher(MOST, guarded=False)(web.url("/0"), _wanted)).content == b"There"
    assert await _failure(web, moved("/page")) == f"it leads on to other addresses more than {MOST_HOPS} times"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (page(b"", status="404 Not Found"), "its server answers with status 404"),
        (page(b"", status="500 Broken"), "its server answers with status 500"),
        (page(b"x" * (MOST + 1)), "it has more than 100000 bytes"),
        (endless(b"x", b"x" * 4096), "it has more than 100000 bytes"),
        (page(gzip.compress(bytes(50_000_000)), content_encoding="gzip"), "it has more than 100000 bytes"),
        (page(LONG, content_encoding="br"), "it is encoded as br, which is not read"),
        (page(LONG, content_encoding="gzip, gzip"), "it is encoded as gzip, gzip, which is not read"),
        (page(LONG, content_encoding="gzip"), "it is not encoded as its server says"),
        (page(gzip.compress(LONG)[:-20], content_encoding="gzip"), "its server breaks off"),
        (page(b"", content_length="5"), "its server breaks off"),
        (moved("file:///etc/passwd"), "an address on the way is no address of http or https"),
        (moved("http://ada:secret@127.0.0.1/"), "an address on the way carries a name or a password"),
        (moved("http://127.0.0.1:99999/"), "an address on the way is no address"),
    ],
)
async def test_what_is_wrong_with_an_answer_is_said(web: WebStub, answer: Answer, problem: str) -> None:
    assert (await _failure(web, answer)).startswith(problem)


async def test_an_answer_that_goes_on_for_ever_is_left_in_time(web: WebStub) -> None:
    assert await _failure(web, silent, seconds=0.2) == "it takes longer than 0.2 seconds"


async def test_a_server_that_is_not_there_and_a_name_that_nobody_knows_are_told_apart(web: WebStub) -> None:
    gone = web.url("/page")
    await web.__aexit__(None, None, None)

    problems = []
    for url in (gone, "http://nobody.invalid/"):
        with pytest.raises(FetchFailed) as failure:
            await Fetcher(MOST, guarded=False)(url, _wanted)
        problems.append(str(failure.value))

    assert problems == ["its server cannot be reached", "its host is not known"]


async def test_what_is_not_wanted_is_left_at_its_first_bytes(web: WebStub) -> None:
    web.pages["/page"] = endless(b"GIF8", b"x" * 4096)

    def unwanted(head: Head) -> None:
        assert head.begin.startswith(b"GIF8")
        raise LookupError

    with pytest.raises(LookupError):
        await Fetcher(1 << 40, guarded=False)(web.url("/page"), unwanted)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_no_private_address_is_asked_for_anything(web: WebStub, host: str) -> None:
    with pytest.raises(FetchFailed) as failure:
        await Fetcher(MOST, guarded=True)(f"http://{host}:{web.port}/page", _wanted)

    assert str(failure.value) == "an address on the way is not a public address"
    assert web.asked == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0"])
def test_what_a_name_is_resolved_to_is_looked_at_where_it_is_connected_to(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with pytest.raises(AddressRefused):
        public_socket((family, socket.SOCK_STREAM, 0, "", (address, 80)))


@pytest.mark.parametrize(
    "to", ["http://127.0.0.1/", "http://169.254.169.254/latest/meta-data", "http://[fd00::1]/", "http://localhost/"]
)
async def test_nobody_is_followed_to_a_private_address(web: WebStub, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{web.port}")  # which answers for a public address
    monkeypatch.delenv("no_proxy", raising=False)
    web.pages["/page"] = moved(to)

    with pytest.raises(FetchFailed) as failure:
        await Fetcher(MOST, guarded=True)("http://1.1.1.1/page", _wanted)

    assert str(failure.value) == "an address on the way is not a public address"
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://example.com/", "is no address of http or https"),
        ("example.com", "is no address of http or https"),
        ("http:///path", "names no host"),
        ("http://ada@example.com/", "carries a name or a password, which are not sent"),
        ("http://:secret@example.com/", "carries a name or a password, which are not sent"),
        ("http://[::1/", "is no address"),
        ("http://a..b/", "is no address"),
        (f"http://{'a' * 64}.example/", "is no address"),
        ("http://10.0.0.1/", "is not a public address"),
        ("http://2130706433/", "is not a public address"),
    ],
)
def test_what_no_address_is_fetched_from_is_said_at_once(url: str, problem: str) -> None:
    with pytest.raises(UrlRefused) as refusal:
        check_url(url, guarded=True)

    assert str(refusal.value) == problem
