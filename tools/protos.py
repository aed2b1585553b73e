"""What the tools that read the protos share: which files there are, and how to run protoc over them.

protoc is the one in grpcio-tools, in this process. The descriptor of `buf/validate/validate.proto` comes out of the
protovalidate wheel, so that the stubs know exactly the rules that the server enforces, and no copy of it can age.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
VALIDATE = "buf/validate/validate.proto"


def sources(root: Path = PROTO) -> list[str]:
    """The protos below `root`, sorted, by the paths that they import one another with."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.proto"))


def run_protoc(names: Sequence[str], *options: str, root: Path = PROTO) -> None:
    """Runs protoc with `options` over the protos of these names. Raises RuntimeError if it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        validate = Path(scratch, "validate.binpb")
        file = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
        validate.write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
        folders = [f"--proto_path={root}", f"--proto_path={files('grpc_tools') / '_proto'}"]
        if code := protoc.main(["protoc", *folders, f"--descriptor_set_in={validate}", *options, *names]):
            raise RuntimeError(f"protoc ended with code {code}")


def image(root: Path = PROTO) -> bytes:
    """All protos with what they import and their comments: a serialized FileDescriptorSet, which buf takes as an image.

    Raises RuntimeError if protoc fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "image.binpb")
        options = [f"--descriptor_set_out={path}", "--include_imports", "--include_source_info"]
        run_protoc(sources(root), *options, root=root)
        return path.read_bytes()
