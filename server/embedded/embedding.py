"""Embeddings on this machine: the mean of the words' vectors (wordllama's l2_supercat, 256 dimensions)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from server.llm.port import EmbeddingResult, ModelNotConfigured, ModelRequestRejected, Usage

DIMENSIONS = 256
NAME = "local-embedding"


class LocalEmbedding:
    """The embedding model; its weights are read when it is first asked."""

    def __init__(self) -> None:
        self._loading = asyncio.Lock()

    async def embed(
        self,
        texts: Sequence[str],
        headers: Mapping[str, str],  # noqa: ARG002
        sent: Callable[[], None] = lambda: None,
        wasted: Callable[[Usage], None] = lambda _: None,  # noqa: ARG002
    ) -> EmbeddingResult:
        """One vector of length 1 a text. Raises ModelRequestRejected for a text without a word in it."""
        sent()
        async with self._loading:  # of the first calls, one loads
            weights, tokenizer = await asyncio.to_thread(_load)
        return await asyncio.to_thread(_embed, weights, tokenizer, list(texts))


@cache
def tokenizer() -> Any:
    """What splits texts into the model's tokens (a `tokenizers.Tokenizer`). Raises ModelNotConfigured."""
    # Read directly: the package's own loader looks for the tokenizer where it is not, and then on the network.
    from tokenizers import Tokenizer  # loaded with the model, not with the server

    found = Tokenizer.from_file(str(_root() / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    found.no_padding()
    found.no_truncation()
    return found


@cache
def _load() -> tuple[Any, Any]:
    from safetensors import safe_open

    with safe_open(_root() / "weights" / "l2_supercat_256.safetensors", "np") as file:
        return file.get_tensor("embedding.weight").astype(np.float32), tokenizer()


def _root() -> Path:
    spec = find_spec("wordllama")
    if spec is None or spec.submodule_search_locations is None:
        raise ModelNotConfigured(NAME)
    return Path(next(iter(spec.submodule_search_locations)))


def _embed(weights: Any, tokenizer: Any, texts: list[str]) -> EmbeddingResult:
    empty = [(f"inputs[{index}]", "has no word in it") for index, text in enumerate(texts) if not text.strip()]
    if empty:
        raise ModelRequestRejected(empty)
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    vectors = []
    for encoding in encodings:
        mean = weights[encoding.ids].mean(axis=0)
        vectors.append((mean / np.linalg.norm(mean)).astype("<f4"))
    return EmbeddingResult(vectors, Usage(sum(len(encoding.ids) for encoding in encodings)))
