"""Request id and trace: taken from the caller where they are well-formed, made where they are not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from random import getrandbits
from typing import NamedTuple
from urllib.parse import unquote

from server.kernel.addresses import Network, client_of
from server.kernel.principal import Call

API_KEY_KEY = "x-api-key"
TENANT_KEY = "x-tenant-id"
REQUEST_ID_KEY = "x-request-id"
TRACE_ID_KEY = "x-trace-id"
FORWARDED_KEY = "x-forwarded-for"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}")
# Version 00 is 55 characters long; only later ones may say more.
_TRACEPARENT = re.compile(r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class Credentials(NamedTuple):
    """What the metadata say of who is calling. Each is None where there is none, and "" where it is not one text."""

    authorization: str | None = None
    api_key: str | None = None
    tenant: str | None = None


class Trace:
    """Makes the `Call` out of the metadata: the caller's `x-request-id` and W3C `traceparent` are carried on."""

    def __init__(self, proxies: Sequence[Network] = ()) -> None:
        """`proxies`: the networks whose `x-forwarded-for` is believed."""
        self._proxies = proxies

    def begin(self, method: str, metadata: Iterable[tuple[str, str | bytes]], peer: str) -> tuple[Call, Credentials]:
        """The call, and what it says of who is calling."""
        request_id = trace_id = authorization = api_key = tenant = user_agent = None
        forwarded: list[str] = []
        for key, value in metadata:
            # Two of one kind would make it a matter of luck which one counts.
            if key == "authorization":
                authorization = value if isinstance(value, str) and authorization is None else ""
            elif key == API_KEY_KEY:
                api_key = value if isinstance(value, str) and api_key is None else ""
            elif key == TENANT_KEY:
                tenant = value if isinstance(value, str) and tenant is None else ""
            elif key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
                request_id = value
            elif key == "traceparent" and isinstance(value, str) and (parent := _TRACEPARENT.fullmatch(value)):
                trace_id = parent[1]
            elif key == FORWARDED_KEY and isinstance(value, str):
                forwarded.append(value)
            elif key == "user-agent" and isinstance(value, str):
                user_agent = value[:500]
        address = address_of(peer)
        if self._proxies and forwarded and address is not None:
            address = client_of(address, forwarded, self._proxies)
        # Names to find things by, no secrets: the system's own randomness would cost a call into it.
        made = f"{getrandbits(320):080x}"
        call = Call(
            method,
            request_id or made[:32],
            trace_id or made[32:64],
            made[64:],
            address,
            user_agent,
        )
        return call, Credentials(authorization, api_key, tenant)


@lru_cache(maxsize=4096)  # it is one of a connection, for all its calls
def address_of(peer: str) -> str | None:
    """The IP address in gRPC's name of a peer (`ipv4:1.2.3.4:567`, `ipv6:%5B::1%5D:567`); None for a socket file."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    return unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0] or None
