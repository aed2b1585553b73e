"""Requests of the knowledge service, good ones and bad ones."""

from __future__ import annotations

from tests.contract.cases import FUTURE, ID, OTHER, PAGE, PERIOD, Bad, Cases, ids, mask, odd

_BASE_BOUNDS = {
    "description": ["", "d" * 2001],
    "visibility": [4],
    "chunk_size": [31, 8193],
    "chunk_overlap": [-1, 4097],
    "search_top_k": [0, 101],
    "search_threshold": [-0.1, 1.1],
}
_BY_ETAG: Bad = [*ids("id"), ({"id": ID, "etag": "e" * 65}, "etag")]

_INFO: Bad = [
    ({"info": {"file_name": "a/b"}}, "info.file_name"),
    ({"info": {"file_name": "f" * 256}}, "info.file_name"),
    ({"info": {"media_type": "m" * 101}}, "info.media_type"),
    ({"info": {"title": ""}}, "info.title"),
    ({"info": {"title": "t" * 501}}, "info.title"),
    ({"info": {"author": "a" * 256}}, "info.author"),
    ({"info": {"version": "v" * 51}}, "info.version"),
]
_TEXT = {"knowledge_base_id": ID, "text": "Hello"}
_URL = {"knowledge_base_id": ID, "url": "https://example.com/a?b=c"}
_PLACE = {"upload_id": ID}
_OF_CHUNK = {"document_id": ID, "id": OTHER}

_QUERY = {"knowledge_base_ids": [ID], "query": "Why?"}
_FOUND: Bad = [
    ({}, "query"),
    *(
        ({"query": query}, f"query.{field}")
        for query, field in [
            *odd(_QUERY, knowledge_base_ids=[[], [ID, ID], [ID] * 11], query=["", "q" * 8193], mode=[4]),
            *odd(_QUERY, top_k=[0, 101], score_threshold=[-0.1, 1.1], document_ids=[[ID, ID]], session_id=["s" * 101]),
        ]
    ),
    ({"query": {**_QUERY, "knowledge_base_ids": ["7"]}}, "query.knowledge_base_ids[0]"),
    ({"query": {**_QUERY, "document_ids": ["7"]}}, "query.document_ids[0]"),
]
_ASKED = {"query": _QUERY}

KNOWLEDGE_CASES: Cases = {
    "SearchRequest": (
        [_ASKED, {"query": {**_QUERY, "mode": 2, "top_k": 100, "score_threshold": 1, "metadata": {"year": 2030}}}],
        _FOUND,
    ),
    "AskRequest": (
        [_ASKED, {**_ASKED, "model": "m", "history": [{"role": 1, "content": "c"}], "temperature": 0, "max_tokens": 1}],
        [
            *_FOUND,
            *odd(_ASKED, model=["m" * 101], instructions=["i" * 8193], max_tokens=[0], temperature=[2.1]),
            *odd(_ASKED, max_source_tokens=[0], history=[[{"role": 1}] * 33]),
            ({**_ASKED, "history": [{}]}, "history[0].role"),
            ({**_ASKED, "history": [{"role": 2, "content": "c" * 65_537}]}, "history[0].content"),
        ],
    ),
    "ListQueryLogsRequest": (
        [{}, {"user_id": ID, "trace_id": "0a" * 16, "create_time_from": FUTURE}],
        [*PAGE, *PERIOD, *odd({}, user_id=["ada"], trace_id=["0"])],
    ),
    "IngestTextRequest": (
        [_TEXT, {**_TEXT, "info": {"file_name": "a.md", "title": "A", "metadata": {"year": 2030}}}],
        [
            *odd(_TEXT, knowledge_base_id=["", "7"], text=["", "t" * 2_097_153], idempotency_key=["k" * 129]),
            *(({**_TEXT, **info}, field) for info, field in _INFO),
        ],
    ),
    "IngestUrlRequest": (
        [_URL, {**_URL, "info": {"title": "A", "metadata": {"year": 2030}}}],
        [
            *odd(_URL, knowledge_base_id=["", "7"], url=["", "a b", "http://é", "u" * 2049]),
            *odd(_URL, idempotency_key=["k" * 129]),
            *(({**_URL, **info}, field) for info, field in _INFO),
        ],
    ),
    "StartUploadRequest": (
        [{"knowledge_base_id": ID}, {"knowledge_base_id": ID, "size": 7, "sha256": "0a" * 32}],
        [
            *ids("knowledge_base_id"),
            *odd({"knowledge_base_id": ID}, size=[-1], sha256=["0", "0A" * 32], idempotency_key=["k" * 129]),
            *(({"knowledge_base_id": ID, **info}, field) for info, field in _INFO),
        ],
    ),
    "GetUploadRequest": ([{"id": ID}], ids("id")),
    "UploadDocumentRequest": (
        [{"place": _PLACE}, {"place": {**_PLACE, "offset": 1_048_576}}, {"data": b"x"}],
        [
            ({}, "part"),
            ({"place": {}}, "place.upload_id"),
            ({"place": {**_PLACE, "offset": -1}}, "place.offset"),
            ({"data": b""}, "data"),
            ({"data": b"x" * 1_048_577}, "data"),
        ],
    ),
    "RetryDocumentRequest": ([{"id": ID}], [*ids("id"), ({"id": ID, "idempotency_key": "k" * 129}, "idempotency_key")]),
    "GetDocumentRequest": ([{"id": ID}, {"id": ID, "deleted": 2}], [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")]),
    "ListDocumentsRequest": (
        [{"knowledge_base_id": ID}, {"knowledge_base_id": ID, "state": 3, "sha256": "0a" * 32, "deleted": 1}],
        [
            *ids("knowledge_base_id"),
            *odd({"knowledge_base_id": ID}, page_size=[-1], page_token=["x" * 513], state=[9], deleted=[9]),
            *odd({"knowledge_base_id": ID}, sha256=["0"]),
        ],
    ),
    "UpdateDocumentRequest": (
        [{"id": ID}, {"id": ID, "title": "t", "metadata": {"a": 1}}, {"id": ID, "update_mask": mask("author")}],
        [
            *ids("id"),
            ({"id": ID, "update_mask": mask("version")}, "version"),
            ({"id": ID, "update_mask": mask("file_name")}, "update_mask"),
            *odd({"id": ID}, etag=["e" * 65], title=["", "t" * 501], author=["", "a" * 256], version=["", "v" * 51]),
        ],
    ),
    "DeleteDocumentRequest": ([{"id": ID}], _BY_ETAG),
    "RestoreDocumentRequest": ([{"id": ID}], ids("id")),
    "PurgeDocumentRequest": ([{"id": ID}], ids("id")),
    "DownloadDocumentRequest": ([{"id": ID, "after_seq": 3}], [*ids("id"), ({"id": ID, "after_seq": -1}, "after_seq")]),
    "WatchIngestionRequest": (
        [{"document_ids": [ID, OTHER]}],
        [
            ({}, "document_ids"),
            ({"document_ids": [ID, ID]}, "document_ids"),
            ({"document_ids": [ID] * 101}, "document_ids"),
            ({"document_ids": ["7"]}, "document_ids[0]"),
        ],
    ),
    "ListChunksRequest": (
        [{"document_id": ID}],
        [*ids("document_id"), *odd({"document_id": ID}, page_size=[-1], page_token=["x" * 513])],
    ),
    "UpdateChunkRequest": (
        [_OF_CHUNK, {**_OF_CHUNK, "content": "c", "enabled": False}],
        [
            *odd(_OF_CHUNK, document_id=["", "7"], id=["", "7"], etag=["e" * 65], content=["", "c" * 65_537]),
            *(({**_OF_CHUNK, "update_mask": mask(field)}, field) for field in ("content", "enabled")),
            ({**_OF_CHUNK, "update_mask": mask("page")}, "update_mask"),
        ],
    ),
    "CreateKnowledgeBaseRequest": (
        [
            {"name": "Papers 论文"},
            {"name": "p", "description": "d", "visibility": 3, "chunk_size": 32, "chunk_overlap": 0},
            {"name": "p", "embedding_model": "m", "search_top_k": 100, "search_threshold": 1},
        ],
        [
            *odd({}, name=["", " ", "a ", "a\nb", "n" * 256]),
            *odd({"name": "n"}, embedding_model=["m" * 101], **_BASE_BOUNDS),
            ({"name": "n", "idempotency_key": "k" * 129}, "idempotency_key"),
        ],
    ),
    "GetKnowledgeBaseRequest": (
        [{"id": ID}, {"id": ID, "deleted": 2}],
        [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")],
    ),
    "ListKnowledgeBasesRequest": (
        [{}, {"visibility": 1, "state": 2, "owner_user_id": ID}, {"all_tenants": True}],
        [
            *PAGE,
            *odd({}, visibility=[9], state=[3, 9], owner_user_id=["ada"], deleted=[9]),
            ({"all_tenants": True, "state": 1}, "all_tenants"),
        ],
    ),
    "UpdateKnowledgeBaseRequest": (
        [{"id": ID}, {"id": ID, "name": "n", "visibility": 2}, {"id": ID, "update_mask": mask("search_top_k")}],
        [
            *ids("id"),
            *(
                ({"id": ID, "update_mask": mask(field)}, field)
                for field in ("name", "visibility", "chunk_size", "chunk_overlap")
            ),
            ({"id": ID, "update_mask": mask("embedding_model")}, "update_mask"),
            *odd({"id": ID}, etag=["e" * 65], name=["", "n" * 256], **_BASE_BOUNDS),
        ],
    ),
    "ReindexKnowledgeBaseRequest": (
        [{"id": ID}, {"id": ID, "embedding_model": "m", "chunk_size": 32, "chunk_overlap": 0}],
        [
            *ids("id"),
            *odd({"id": ID}, embedding_model=["m" * 101], chunk_size=[31, 8193], chunk_overlap=[-1, 4097]),
            ({"id": ID, "idempotency_key": "k" * 129}, "idempotency_key"),
        ],
    ),
    "RollbackReindexRequest": (
        [{"id": ID}],
        [*ids("id"), ({"id": ID, "idempotency_key": "k" * 129}, "idempotency_key")],
    ),
    "ArchiveKnowledgeBaseRequest": ([{"id": ID}], _BY_ETAG),
    "ActivateKnowledgeBaseRequest": ([{"id": ID}], _BY_ETAG),
    "DeleteKnowledgeBaseRequest": ([{"id": ID}], _BY_ETAG),
    "RestoreKnowledgeBaseRequest": ([{"id": ID}], ids("id")),
    "PurgeKnowledgeBaseRequest": ([{"id": ID}], ids("id")),
}
