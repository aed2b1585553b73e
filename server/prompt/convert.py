"""Prompts, as the API has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

from atrium.prompt.v1 import label_pb2, template_pb2, version_pb2
from atrium.prompt.v1 import prompt_service_pb2 as pb
from server.kernel.errors import etag_of
from server.prompt.domain import (
    Content,
    Label,
    NewVersion,
    Rendered,
    Settings,
    Share,
    Template,
    Turn,
    Version,
)
from server.prompt.ports import Usage
from server.prompt.service.watching import Event
from server.prompt.variables import Variable
from server.rpc.wire import (
    EnumMap,
    average_ms,
    changes,
    money,
    plain_struct,
    plain_value,
    present,
    timestamp,
    uuid_or_none,
    value_of,
)

_DEFAULT_WEIGHT = 100
_SETTINGS = tuple(field.name for field in fields(Settings))

_VISIBILITY = EnumMap(
    {
        "personal": template_pb2.VISIBILITY_PERSONAL,
        "tenant": template_pb2.VISIBILITY_TENANT,
        "public": template_pb2.VISIBILITY_PUBLIC,
    }
)
_TYPE = EnumMap(
    {
        "string": version_pb2.PromptVariable.TYPE_STRING,
        "integer": version_pb2.PromptVariable.TYPE_INTEGER,
        "number": version_pb2.PromptVariable.TYPE_NUMBER,
        "boolean": version_pb2.PromptVariable.TYPE_BOOLEAN,
        "list": version_pb2.PromptVariable.TYPE_LIST,
        "object": version_pb2.PromptVariable.TYPE_OBJECT,
    }
)
_ROLE = EnumMap(
    {
        "system": version_pb2.PromptMessage.ROLE_SYSTEM,
        "user": version_pb2.PromptMessage.ROLE_USER,
        "assistant": version_pb2.PromptMessage.ROLE_ASSISTANT,
    }
)


def new_template(request: template_pb2.CreateTemplateRequest) -> dict[str, Any]:
    return {
        "name": request.name,
        "visibility": _VISIBILITY.word.get(request.visibility, "personal"),
        **present(request, "description", "category"),
    }


def template_changes(request: template_pb2.UpdateTemplateRequest) -> dict[str, Any]:
    values = changes(request, "name", "description", "category", "visibility")
    if "visibility" in values:
        values["visibility"] = _VISIBILITY.word[values["visibility"]]
    return values


def filters(request: template_pb2.ListTemplatesRequest) -> dict[str, Any]:
    given = {
        "visibility": _VISIBILITY.word.get(request.visibility),
        "category": request.category or None,
        "owner_user_id": uuid_or_none(request.owner_user_id),
    }
    return {name: value for name, value in given.items() if value is not None}


def template(value: Template) -> template_pb2.Template:
    return template_pb2.Template(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        name=value.name,
        description=value.description,
        category=value.category,
        visibility=_VISIBILITY.number[value.visibility],
        owner_user_id=str(value.owner_user_id or ""),
        current_version=value.current_version,
        usage_count=value.usage_count,
        tenant_id=str(value.tenant_id),
        delete_time=timestamp(value.deleted_at),
    )


def new_version(request: version_pb2.CreateVersionRequest) -> NewVersion:
    content: Content = request.text
    if request.messages:
        content = [Turn(_ROLE.word[turn.role], turn.content) for turn in request.messages]
    variables = [
        Variable(
            one.name,
            _TYPE.word[one.type],
            one.required,
            plain_value(one.default) if one.HasField("default") else None,
            one.description,
        )
        for one in request.variables
    ]
    settings = Settings(
        model=request.settings.model,
        stop=list(request.settings.stop),
        **present(request.settings, "temperature", "max_tokens", "seed"),
    )
    return NewVersion(request.version, content, variables, settings, request.changelog)


def version(value: Version) -> version_pb2.TemplateVersion:
    is_text = isinstance(value.content, str)
    kind = version_pb2.TemplateVersion.KIND_TEXT if is_text else version_pb2.TemplateVersion.KIND_CHAT
    return version_pb2.TemplateVersion(
        id=str(value.id),
        template_id=str(value.template_id),
        version=value.version,
        kind=kind,
        text=value.content if isinstance(value.content, str) else "",
        messages=() if isinstance(value.content, str) else _turns(value.content),
        variables=[_variable(one) for one in value.variables],
        settings=_settings(value.settings),
        changelog=value.changelog,
        content_hash=value.content_hash,
        created_by=str(value.created_by or ""),
        create_time=timestamp(value.created_at),
    )


def _variable(value: Variable) -> version_pb2.PromptVariable:
    made = version_pb2.PromptVariable(
        name=value.name, type=_TYPE.number[value.type], required=value.required, description=value.description
    )
    if value.default is not None:
        made.default.CopyFrom(value_of(value.default))
    return made


def _settings(value: Settings) -> version_pb2.PromptSettings:
    # Not by `asdict`, which copies what it finds: it took a third of a rendering's time.
    return version_pb2.PromptSettings(**{name: getattr(value, name) for name in _SETTINGS})


def _turns(turns: Sequence[Turn]) -> list[version_pb2.PromptMessage]:
    return [version_pb2.PromptMessage(role=_ROLE.number[turn.role], content=turn.content) for turn in turns]


def shares(request: label_pb2.SetLabelRequest) -> list[Share]:
    return [Share(target.version, target.weight or _DEFAULT_WEIGHT) for target in request.targets]


def label(value: Label) -> label_pb2.Label:
    return label_pb2.Label(
        label=value.label,
        targets=[label_pb2.LabelTarget(version=share.version, weight=share.weight) for share in value.shares],
        protected=value.protected,
        moved_by=str(value.moved_by or ""),
        update_time=timestamp(value.updated_at),
        etag=value.etag,
    )


def asked(request: pb.RenderPromptRequest) -> tuple[UUID, str, str, str]:
    """What `PromptRendering.find` is asked."""
    return UUID(request.template_id), request.version, request.label, request.user_key


def values(request: pb.RenderPromptRequest) -> tuple[dict[str, Any], bytes]:
    """What `Found.render` is asked."""
    return plain_struct(request.variables), request.variables.SerializeToString(deterministic=True)


def rendered(value: Rendered) -> pb.RenderPromptResponse:
    return pb.RenderPromptResponse(
        version=value.version.version,
        version_id=str(value.version.id),
        text=value.text,
        messages=_turns(value.turns),
        settings=_settings(value.version.settings),
    )


def watched(request: pb.WatchPromptsRequest) -> tuple[list[UUID], UUID | None, int]:
    """What `PromptWatching.watch` is asked."""
    return [UUID(one) for one in request.template_ids], uuid_or_none(request.watch_id), request.after_seq


def event(value: Event) -> pb.WatchPromptsResponse:
    made = pb.WatchPromptsResponse(watch_id=str(value.watch_id), seq=value.seq)
    match value.news:
        case str() as word:
            getattr(made, word).SetInParent()
        case UUID() as template_id:
            made.removed_id = str(template_id)
        case (found, labels):
            state = pb.WatchPromptsResponse.State(template=template(found), labels=[label(one) for one in labels])
            made.changed.CopyFrom(state)
    return made


def stats(version_id: UUID, name: str, used: Usage) -> pb.VersionStats:
    return pb.VersionStats(
        version=name,
        version_id=str(version_id),
        calls=used.calls,
        errors=used.errors,
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        cost_usd=money(used.cost),
        average_latency=average_ms(used.latency_ms, used.calls),
    )
