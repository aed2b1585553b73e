import datetime

from atrium.common.v1 import deleted_pb2 as _deleted_pb2
from atrium.errors.v1 import error_reason_pb2 as _error_reason_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KnowledgeBase(_message.Message):
    __slots__ = ("id", "etag", "create_time", "update_time", "name", "description", "visibility", "owner_user_id", "state", "embedding_model", "embedding_dimensions", "chunk_size", "chunk_overlap", "search_top_k", "search_threshold", "document_count", "chunk_count", "total_size", "created_by", "updated_by", "tenant_id", "delete_time", "generation", "reindex", "former_generation", "former_generation_expire_time")
    class Visibility(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VISIBILITY_UNSPECIFIED: _ClassVar[KnowledgeBase.Visibility]
        VISIBILITY_PERSONAL: _ClassVar[KnowledgeBase.Visibility]
        VISIBILITY_TENANT: _ClassVar[KnowledgeBase.Visibility]
        VISIBILITY_PUBLIC: _ClassVar[KnowledgeBase.Visibility]
    VISIBILITY_UNSPECIFIED: KnowledgeBase.Visibility
    VISIBILITY_PERSONAL: KnowledgeBase.Visibility
    VISIBILITY_TENANT: KnowledgeBase.Visibility
    VISIBILITY_PUBLIC: KnowledgeBase.Visibility
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[KnowledgeBase.State]
        STATE_ACTIVE: _ClassVar[KnowledgeBase.State]
        STATE_ARCHIVED: _ClassVar[KnowledgeBase.State]
        STATE_DELETED: _ClassVar[KnowledgeBase.State]
    STATE_UNSPECIFIED: KnowledgeBase.State
    STATE_ACTIVE: KnowledgeBase.State
    STATE_ARCHIVED: KnowledgeBase.State
    STATE_DELETED: KnowledgeBase.State
    class Generation(_message.Message):
        __slots__ = ("number", "embedding_model", "embedding_dimensions", "chunk_size", "chunk_overlap")
        NUMBER_FIELD_NUMBER: _ClassVar[int]
        EMBEDDING_MODEL_FIELD_NUMBER: _ClassVar[int]
        EMBEDDING_DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
        CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
        CHUNK_OVERLAP_FIELD_NUMBER: _ClassVar[int]
        number: int
        embedding_model: str
        embedding_dimensions: int
        chunk_size: int
        chunk_overlap: int
        def __init__(self, number: _Optional[int] = ..., embedding_model: _Optional[str] = ..., embedding_dimensions: _Optional[int] = ..., chunk_size: _Optional[int] = ..., chunk_overlap: _Optional[int] = ...) -> None: ...
    class Reindex(_message.Message):
        __slots__ = ("state", "generation", "rollback", "document_done", "document_total", "error_reason", "error_message", "start_time", "end_time")
        class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            STATE_UNSPECIFIED: _ClassVar[KnowledgeBase.Reindex.State]
            STATE_RUNNING: _ClassVar[KnowledgeBase.Reindex.State]
            STATE_COMPLETED: _ClassVar[KnowledgeBase.Reindex.State]
            STATE_FAILED: _ClassVar[KnowledgeBase.Reindex.State]
            STATE_CANCELLED: _ClassVar[KnowledgeBase.Reindex.State]
        STATE_UNSPECIFIED: KnowledgeBase.Reindex.State
        STATE_RUNNING: KnowledgeBase.Reindex.State
        STATE_COMPLETED: KnowledgeBase.Reindex.State
        STATE_FAILED: KnowledgeBase.Reindex.State
        STATE_CANCELLED: KnowledgeBase.Reindex.State
        STATE_FIELD_NUMBER: _ClassVar[int]
        GENERATION_FIELD_NUMBER: _ClassVar[int]
        ROLLBACK_FIELD_NUMBER: _ClassVar[int]
        DOCUMENT_DONE_FIELD_NUMBER: _ClassVar[int]
        DOCUMENT_TOTAL_FIELD_NUMBER: _ClassVar[int]
        ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
        ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        END_TIME_FIELD_NUMBER: _ClassVar[int]
        state: KnowledgeBase.Reindex.State
        generation: KnowledgeBase.Generation
        rollback: bool
        document_done: int
        document_total: int
        error_reason: _error_reason_pb2.ErrorReason
        error_message: str
        start_time: _timestamp_pb2.Timestamp
        end_time: _timestamp_pb2.Timestamp
        def __init__(self, state: _Optional[_Union[KnowledgeBase.Reindex.State, str]] = ..., generation: _Optional[_Union[KnowledgeBase.Generation, _Mapping]] = ..., rollback: _Optional[bool] = ..., document_done: _Optional[int] = ..., document_total: _Optional[int] = ..., error_reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., error_message: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    OWNER_USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_MODEL_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    SEARCH_TOP_K_FIELD_NUMBER: _ClassVar[int]
    SEARCH_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    UPDATED_BY_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    DELETE_TIME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REINDEX_FIELD_NUMBER: _ClassVar[int]
    FORMER_GENERATION_FIELD_NUMBER: _ClassVar[int]
    FORMER_GENERATION_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    name: str
    description: str
    visibility: KnowledgeBase.Visibility
    owner_user_id: str
    state: KnowledgeBase.State
    embedding_model: str
    embedding_dimensions: int
    chunk_size: int
    chunk_overlap: int
    search_top_k: int
    search_threshold: float
    document_count: int
    chunk_count: int
    total_size: int
    created_by: str
    updated_by: str
    tenant_id: str
    delete_time: _timestamp_pb2.Timestamp
    generation: int
    reindex: KnowledgeBase.Reindex
    former_generation: KnowledgeBase.Generation
    former_generation_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., visibility: _Optional[_Union[KnowledgeBase.Visibility, str]] = ..., owner_user_id: _Optional[str] = ..., state: _Optional[_Union[KnowledgeBase.State, str]] = ..., embedding_model: _Optional[str] = ..., embedding_dimensions: _Optional[int] = ..., chunk_size: _Optional[int] = ..., chunk_overlap: _Optional[int] = ..., search_top_k: _Optional[int] = ..., search_threshold: _Optional[float] = ..., document_count: _Optional[int] = ..., chunk_count: _Optional[int] = ..., total_size: _Optional[int] = ..., created_by: _Optional[str] = ..., updated_by: _Optional[str] = ..., tenant_id: _Optional[str] = ..., delete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., generation: _Optional[int] = ..., reindex: _Optional[_Union[KnowledgeBase.Reindex, _Mapping]] = ..., former_generation: _Optional[_Union[KnowledgeBase.Generation, _Mapping]] = ..., former_generation_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateKnowledgeBaseRequest(_message.Message):
    __slots__ = ("name", "description", "visibility", "embedding_model", "chunk_size", "chunk_overlap", "search_top_k", "search_threshold", "idempotency_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_MODEL_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    SEARCH_TOP_K_FIELD_NUMBER: _ClassVar[int]
    SEARCH_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    visibility: KnowledgeBase.Visibility
    embedding_model: str
    chunk_size: int
    chunk_overlap: int
    search_top_k: int
    search_threshold: float
    idempotency_key: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., visibility: _Optional[_Union[KnowledgeBase.Visibility, str]] = ..., embedding_model: _Optional[str] = ..., chunk_size: _Optional[int] = ..., chunk_overlap: _Optional[int] = ..., search_top_k: _Optional[int] = ..., search_threshold: _Optional[float] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateKnowledgeBaseResponse(_message.Message):
    __slots__ = ("knowledge_base",)
    KNOWLEDGE_BASE_FIELD_NUMBER: _ClassVar[int]
    knowledge_base: KnowledgeBase
    def __init__(self, knowledge_base: _Optional[_Union[KnowledgeBase, _Mapping]] = ...) -> None: ...

class GetKnowledgeBaseRequest(_message.Message):
    __slots__ = ("id", "deleted")
    ID_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    id: str
    deleted: _deleted_pb2.Deleted
    def __init__(self, id: _Optional[str] = ..., deleted: _Optional[_Union[_deleted_pb2.Deleted, str]] = ...) -> None: ...

class GetKnowledgeBaseResponse(_message.Message):
    __slots__ = ("knowledge_base",)
    KNOWLEDGE_BASE_FIELD_NUMBER: _ClassVar[int]
    knowledge_base: KnowledgeBase
    def __init__(self, knowledge_base: _Optional[_Union[KnowledgeBase, _Mapping]] = ...) -> None: ...

class ListKnowledgeBasesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "visibility", "state", "owner_user_id", "deleted", "all_tenants")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OWNER_USER_ID_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    ALL_TENANTS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    visibility: KnowledgeBase.Visibility
    state: KnowledgeBase.State
    owner_user_id: str
    deleted: _deleted_pb2.Deleted
    all_tenants: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., visibility: _Optional[_Union[KnowledgeBase.Visibility, str]] = ..., state: _Optional[_Union[KnowledgeBase.State, str]] = ..., owner_user_id: _Optional[str] = ..., deleted: _Optional[_Union[_deleted_pb2.Deleted, str]] = ..., all_tenants: _Optional[bool] = ...) -> None: ...

class ListKnowledgeBasesResponse(_message.Message):
    __slots__ = ("knowledge_bases", "next_page_token")
    KNOWLEDGE_BASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    knowledge_bases: _containers.RepeatedCompositeFieldContainer[KnowledgeBase]
    next_page_token: str
    def __init__(self, knowledge_bases: _Optional[_Iterable[_Union[KnowledgeBase, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateKnowledgeBaseRequest(_message.Message):
    __slots__ = ("id", "update_mask", "etag", "name", "description", "visibility", "chunk_size", "chunk_overlap", "search_top_k", "search_threshold")
    ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    VISIBILITY_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    SEARCH_TOP_K_FIELD_NUMBER: _ClassVar[int]
    SEARCH_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    id: str
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    name: str
    description: str
    visibility: KnowledgeBase.Visibility
    chunk_size: int
    chunk_overlap: int
    search_top_k: int
    search_threshold: float
    def __init__(self, id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., visibility: _Optional[_Union[KnowledgeBase.Visibility, str]] = ..., chunk_size: _Optional[int] = ..., chunk_overlap: _Optional[int] = ..., search_top_k: _Optional[int] = ..., search_threshold: _Optional[float] = ...) -> None: ...

class UpdateKnowledgeBaseResponse(_message.Message):
    __slots__ = ("knowledge_base",)
    KNOWLEDGE_BASE_FIELD_NUMBER: _ClassVar[int]
    knowledge_base: KnowledgeBase
    def __init__(self, knowledge_base: _Optional[_Union[KnowledgeBase, _Mapping]] = ...) -> None: ...

class ArchiveKnowledgeBaseRequest(_message.Message):
    __slots__ = ("id", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class ArchiveKnowledgeBaseResponse(_message.Message):
    __slots__ = ("knowledge_base",)
    KNOWLEDGE_BASE_FIELD_NUMBER: _ClassVar[int]
    knowledge_base: KnowledgeBase
    def __init__(self, knowledge_base: _Optional[_Union[KnowledgeBase, _Mapping]] = ...) -> None: ...

class ActivateKnowledgeBaseRequest(_message.Message):
    __slots__ = ("id", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class ActivateKnowledgeBaseResponse(_message.Message):
    __slots__ = ("knowledge_base",)
    KNOWLEDGE_BASE_FIELD_NUMBER: _ClassVar[int]
    knowledge_base: KnowledgeBase
    def __init__(self, knowledge_base: _Optional[_Union[KnowledgeBase, _Mapping]] = ...) -> None: ...

class DeleteKnowledgeBaseRequest(_message.Message):
    __slots__ = ("id", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteKnowledgeBaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RestoreKnowledgeBaseRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RestoreKnowledgeBaseResponse(_message.Message):
    __slots__ = ("knowledge_base",)
    KNOWLEDGE_BASE_FIELD_NUMBER: _ClassVar[int]
    knowledge_base: KnowledgeBase
    def __init__(self, knowledge_base: _Optional[_Union[KnowledgeBase, _Mapping]] = ...) -> None: ...

class PurgeKnowledgeBaseRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class PurgeKnowledgeBaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReindexKnowledgeBaseRequest(_message.Message):
    __slots__ = ("id", "embedding_model", "chunk_size", "chunk_overlap", "idempotency_key")
    ID_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_MODEL_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    id: str
    embedding_model: str
    chunk_size: int
    chunk_overlap: int
    idempotency_key: str
    def __init__(self, id: _Optional[str] = ..., embedding_model: _Optional[str] = ..., chunk_size: _Optional[int] = ..., chunk_overlap: _Optional[int] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ReindexKnowledgeBaseResponse(_message.Message):
    __slots__ = ("knowledge_base",)
    KNOWLEDGE_BASE_FIELD_NUMBER: _ClassVar[int]
    knowledge_base: KnowledgeBase
    def __init__(self, knowledge_base: _Optional[_Union[KnowledgeBase, _Mapping]] = ...) -> None: ...

class RollbackReindexRequest(_message.Message):
    __slots__ = ("id", "idempotency_key")
    ID_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    id: str
    idempotency_key: str
    def __init__(self, id: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class RollbackReindexResponse(_message.Message):
    __slots__ = ("knowledge_base",)
    KNOWLEDGE_BASE_FIELD_NUMBER: _ClassVar[int]
    knowledge_base: KnowledgeBase
    def __init__(self, knowledge_base: _Optional[_Union[KnowledgeBase, _Mapping]] = ...) -> None: ...
