"""Credentials, as the API has them."""

from __future__ import annotations

from atrium.model.v1 import credential_pb2
from server.kernel.errors import etag_of
from server.model.convert.models import PROVIDERS
from server.model.domain import Credential, NewCredential
from server.rpc.wire import timestamp


def new_credential(request: credential_pb2.CreateCredentialRequest) -> NewCredential:
    return NewCredential(PROVIDERS.word[request.provider], request.name, request.base_url or None)


def credential(value: Credential) -> credential_pb2.Credential:
    return credential_pb2.Credential(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        provider=PROVIDERS.number[value.provider],
        name=value.name,
        base_url=value.base_url or "",
        last_four=value.last_four,
    )
