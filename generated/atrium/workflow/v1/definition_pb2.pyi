import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkflowDefinition(_message.Message):
    __slots__ = ("steps", "output")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    output: str
    def __init__(self, steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., output: _Optional[str] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("id", "needs", "when", "for_each", "retry", "timeout", "on_failure", "chat", "search", "transform", "approval", "wait", "agent")
    class OnFailure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ON_FAILURE_UNSPECIFIED: _ClassVar[Step.OnFailure]
        ON_FAILURE_FAIL: _ClassVar[Step.OnFailure]
        ON_FAILURE_CONTINUE: _ClassVar[Step.OnFailure]
    ON_FAILURE_UNSPECIFIED: Step.OnFailure
    ON_FAILURE_FAIL: Step.OnFailure
    ON_FAILURE_CONTINUE: Step.OnFailure
    ID_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    FOR_EACH_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ON_FAILURE_FIELD_NUMBER: _ClassVar[int]
    CHAT_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    needs: _containers.RepeatedScalarFieldContainer[str]
    when: str
    for_each: str
    retry: Retry
    timeout: _duration_pb2.Duration
    on_failure: Step.OnFailure
    chat: ChatStep
    search: SearchStep
    transform: TransformStep
    approval: ApprovalStep
    wait: WaitStep
    agent: AgentStep
    def __init__(self, id: _Optional[str] = ..., needs: _Optional[_Iterable[str]] = ..., when: _Optional[str] = ..., for_each: _Optional[str] = ..., retry: _Optional[_Union[Retry, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., on_failure: _Optional[_Union[Step.OnFailure, str]] = ..., chat: _Optional[_Union[ChatStep, _Mapping]] = ..., search: _Optional[_Union[SearchStep, _Mapping]] = ..., transform: _Optional[_Union[TransformStep, _Mapping]] = ..., approval: _Optional[_Union[ApprovalStep, _Mapping]] = ..., wait: _Optional[_Union[WaitStep, _Mapping]] = ..., agent: _Optional[_Union[AgentStep, _Mapping]] = ...) -> None: ...

class Retry(_message.Message):
    __slots__ = ("max_attempts", "delay")
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    delay: _duration_pb2.Duration
    def __init__(self, max_attempts: _Optional[int] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ChatStepMessage(_message.Message):
    __slots__ = ("role", "content")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[ChatStepMessage.Role]
        ROLE_SYSTEM: _ClassVar[ChatStepMessage.Role]
        ROLE_USER: _ClassVar[ChatStepMessage.Role]
        ROLE_ASSISTANT: _ClassVar[ChatStepMessage.Role]
    ROLE_UNSPECIFIED: ChatStepMessage.Role
    ROLE_SYSTEM: ChatStepMessage.Role
    ROLE_USER: ChatStepMessage.Role
    ROLE_ASSISTANT: ChatStepMessage.Role
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: ChatStepMessage.Role
    content: str
    def __init__(self, role: _Optional[_Union[ChatStepMessage.Role, str]] = ..., content: _Optional[str] = ...) -> None: ...

class StepPrompt(_message.Message):
    __slots__ = ("template_id", "version", "label", "variables")
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    template_id: str
    version: str
    label: str
    variables: str
    def __init__(self, template_id: _Optional[str] = ..., version: _Optional[str] = ..., label: _Optional[str] = ..., variables: _Optional[str] = ...) -> None: ...

class ChatStep(_message.Message):
    __slots__ = ("model", "messages", "temperature", "max_tokens", "json", "prompt")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    model: str
    messages: _containers.RepeatedCompositeFieldContainer[ChatStepMessage]
    temperature: float
    max_tokens: int
    json: bool
    prompt: StepPrompt
    def __init__(self, model: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[ChatStepMessage, _Mapping]]] = ..., temperature: _Optional[float] = ..., max_tokens: _Optional[int] = ..., json: _Optional[bool] = ..., prompt: _Optional[_Union[StepPrompt, _Mapping]] = ...) -> None: ...

class AgentStep(_message.Message):
    __slots__ = ("agent_id", "message", "variables")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    message: str
    variables: str
    def __init__(self, agent_id: _Optional[str] = ..., message: _Optional[str] = ..., variables: _Optional[str] = ...) -> None: ...

class SearchStep(_message.Message):
    __slots__ = ("knowledge_base_ids", "query", "top_k")
    KNOWLEDGE_BASE_IDS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    knowledge_base_ids: _containers.RepeatedScalarFieldContainer[str]
    query: str
    top_k: int
    def __init__(self, knowledge_base_ids: _Optional[_Iterable[str]] = ..., query: _Optional[str] = ..., top_k: _Optional[int] = ...) -> None: ...

class TransformStep(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: str
    def __init__(self, value: _Optional[str] = ...) -> None: ...

class ApprovalStep(_message.Message):
    __slots__ = ("message", "value")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    message: str
    value: str
    def __init__(self, message: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class WaitStep(_message.Message):
    __slots__ = ("duration",)
    DURATION_FIELD_NUMBER: _ClassVar[int]
    duration: _duration_pb2.Duration
    def __init__(self, duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DefinitionProblem(_message.Message):
    __slots__ = ("field", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    description: str
    def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class ValidateWorkflowRequest(_message.Message):
    __slots__ = ("definition",)
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    definition: WorkflowDefinition
    def __init__(self, definition: _Optional[_Union[WorkflowDefinition, _Mapping]] = ...) -> None: ...

class ValidateWorkflowResponse(_message.Message):
    __slots__ = ("problems", "order")
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    problems: _containers.RepeatedCompositeFieldContainer[DefinitionProblem]
    order: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, problems: _Optional[_Iterable[_Union[DefinitionProblem, _Mapping]]] = ..., order: _Optional[_Iterable[str]] = ...) -> None: ...
