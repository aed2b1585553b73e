"""Servers as they start: what they print, and what they say when they cannot."""

from __future__ import annotations

import shlex
import signal
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_database import DescriptorDatabase
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2
from pydantic import SecretStr

from server.db.bootstrap import bootstrap
from server.settings import SettingsError
from tests.databases import Cluster, Scratch
from tests.factories.certificates import authority, signed_by
from tests.processes import atrium, command, environment, refusal_of, sentence_of
from tests.servers import serving


async def test_what_is_printed_is_enough_to_begin_with(scratch: Scratch) -> None:
    variables = environment(scratch)
    async with atrium(variables) as first:
        reply = await _send_as_printed((await first.line(r"^  grpcurl (.*)$"))[1])
        _, password = await first.administrator()
        assert reply.tokens.access_token
        first.send(signal.SIGTERM)
        assert await first.end() == 0
    async with atrium(variables) as second:
        keys = await _send_as_printed((await second.line(r"^  grpcurl (.*)$"))[1])
        assert [key.kty for key in keys.keys] == ["OKP"]
        second.send(signal.SIGTERM)
        assert await second.end() == 0

    assert sum(password in line for line in first.lines) == 2, "once by itself, and once in the call to try"
    assert not [line for line in second.lines if "password" in line]
    assert not [line for line in first.errors if password in line]


@pytest.mark.parametrize("mutual", [False, True])
async def test_what_is_printed_in_production_is_enough_under_tls_too(
    scratch: Scratch, tmp_path: Path, mutual: bool
) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    ours = authority(tmp_path, "ours")
    own, client = signed_by(ours, folder, "server", "api.example.com"), signed_by(ours, tmp_path, "client")
    files = {"tls_certificate_file": own.certificate_file, "tls_private_key_file": own.key_file}
    if mutual:
        files["tls_client_ca_file"] = ours.certificate_file
    async with atrium(environment(scratch, environment="production", **files)) as process:
        if mutual:
            said = await process.line(r"^Try, with .* in place of (\S+) and (\S+):$")
        made = await process.line(r"^  atrium (\S+) > atrium.binpb$")
        described = await command({}, made[1])
        line = (await process.line(r"^  grpcurl (.*)$"))[1]
        if mutual:
            line = line.replace(said[1], str(client.certificate_file)).replace(said[2], str(client.key_file))
        reply = await _send_as_printed(line, described.stdout_bytes)
        process.send(signal.SIGTERM)
        assert await process.end() == 0

    assert reply.tokens.access_token


async def _send_as_printed(line: str, described: bytes | None = None) -> Any:
    """What the server answers to the call in a printed line, which is read as a shell and grpcurl do: without a
    descriptor set, the server itself is asked what the method is.

    `described`: what is in the descriptor set that the line names.
    """
    *words, address, path = shlex.split(line)
    flags: dict[str, str] = {}
    while words:
        flag = words.pop(0)
        flags[flag] = "" if flag == "-plaintext" else words.pop(0)
    service, _, name = path.rpartition("/")
    async with _channel_of(flags, address) as channel:
        files = DescriptorDatabase()
        if "-protoset" in flags:
            assert described is not None
            for file in FileDescriptorSet.FromString(described).file:
                files.Add(file)
        else:
            for file in await _reflected(channel, service):
                files.Add(file)
        method = DescriptorPool(files).FindServiceByName(service).FindMethodByName(name)
        request = json_format.Parse(flags.get("-d", "{}"), message_factory.GetMessageClass(method.input_type)())
        call = channel.unary_unary(
            f"/{path}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        return await call(request)


async def _reflected(channel: Any, symbol: str) -> Collection[FileDescriptorProto]:
    """The file that declares it and all that this one imports, as the server describes them."""
    ask = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    files: dict[str, FileDescriptorProto] = {}
    wanted = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)]
    while wanted:
        async for reply in ask(iter(wanted)):
            for data in reply.file_descriptor_response.file_descriptor_proto:
                file = FileDescriptorProto.FromString(data)
                files[file.name] = file
        imported = {name for file in files.values() for name in file.dependency}
        asked, wanted = (
            wanted,
            [reflection_pb2.ServerReflectionRequest(file_by_filename=name) for name in sorted(imported - files.keys())],
        )
        assert wanted != asked, "what the server does not describe"
    return files.values()


def _channel_of(flags: dict[str, str], address: str) -> Any:
    if "-plaintext" in flags:
        return grpc.aio.insecure_channel(address)
    options = [("grpc.ssl_target_name_override", flags["-authority"])] if "-authority" in flags else []
    own = {key: Path(flags[flag]).read_bytes() for flag, key in _OWN.items() if flag in flags}
    credentials = grpc.ssl_channel_credentials(Path(flags["-cacert"]).read_bytes(), **own)
    return grpc.aio.secure_channel(address, credentials, options)


_OWN = {"-cert": "certificate_chain", "-key": "private_key"}


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_port_that_is_taken_is_named(scratch: Scratch, processes: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with atrium(environment(scratch, address=address, processes=processes)) as process:
            assert await process.end() == 1

    sentence = sentence_of(process.errors)
    assert address in sentence
    assert "ATRIUM_ADDRESS" in sentence


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_port_of_probes_that_is_a_servers_own_is_named(scratch: Scratch, processes: int) -> None:
    async with atrium(environment(scratch, processes=2)) as other:
        taken = f"127.0.0.1:{await other.port()}"
        async with atrium(environment(scratch, processes=processes, health_address=taken)) as process:
            assert await process.end() == 1

    sentence = sentence_of(process.errors)
    assert sentence.startswith(f"Cannot listen on {taken}: ")
    assert "ATRIUM_HEALTH_ADDRESS" in sentence


async def test_a_database_that_cannot_be_served_from_is_refused_with_what_to_do(
    scratch: Scratch, postgres: Cluster
) -> None:
    async with postgres.empty() as empty:
        for advice, variables in {
            "run `atrium migrate bootstrap`": environment(empty),
            "connect as atrium_app": environment(scratch, database_url=scratch.admin_url),
            "Cannot connect to ATRIUM_DATABASE_URL": environment(scratch, database_url="postgresql://127.0.0.1:1/x"),
            "ATRIUM_MASTER_KEY": environment(scratch, master_key=None),
            "ATRIUM_PROCESSES": environment(scratch, processes=0),
            "Cannot connect to ATRIUM_LISTEN_DATABASE_URL": environment(
                scratch, listen_database_url="postgresql://127.0.0.1:1/x"
            ),
            "another database than ATRIUM_DATABASE_URL": environment(scratch, listen_database_url=empty.admin_url),
        }.items():
            assert advice in await refusal_of(variables)


async def test_what_the_command_line_says_counts_for_more_than_the_variables(scratch: Scratch) -> None:
    variables = environment(scratch, address="127.0.0.1:1", processes=1, admin_database_url=scratch.admin_url)
    async with atrium(variables, "serve", "--processes", "2", "--address", "127.0.0.1:0") as process:
        assert await process.port() > 1
        assert len(process.servers()) == 2
        process.send(signal.SIGTERM)
        assert await process.end() == 0
    assert "ATRIUM_PROCESSES" in await refusal_of(variables, "--processes", "65")


async def test_a_schema_that_is_not_there_is_refused_with_the_command_that_makes_it(postgres: Cluster) -> None:
    async with postgres.empty() as scratch:
        await bootstrap(scratch.admin_url)

        assert "run `atrium migrate up`" in await refusal_of(environment(scratch))


async def test_a_master_key_that_is_not_the_databases_own_is_refused(scratch: Scratch) -> None:
    async with serving(scratch.settings()):
        pass  # makes the keys that tokens are signed with

    with pytest.raises(SettingsError, match="ATRIUM_MASTER_KEY"):
        async with serving(scratch.settings(master_key=SecretStr("B" * 43 + "="))):
            pass


async def test_what_keeps_one_of_several_processes_from_starting_is_said_as_it_is_of_one(scratch: Scratch) -> None:
    async with serving(scratch.settings()):
        pass

    async with atrium(environment(scratch, master_key="B" * 43 + "=", processes=2)) as process:
        assert await process.end() == 1

    assert "ATRIUM_MASTER_KEY" in sentence_of(process.errors)


async def test_a_port_of_the_metrics_that_is_taken_is_named(scratch: Scratch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(SettingsError, match=f"ATRIUM_METRICS_ADDRESS: cannot listen on {address}"):
            async with serving(scratch.settings(metrics_address=address)):
                pass
