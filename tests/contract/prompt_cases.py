"""Requests of the prompt service, good ones and bad ones."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from tests.contract.cases import FUTURE, ID, OTHER, PAGE, Bad, Cases, ids, mask, odd

TEXT = {"template_id": ID, "text": "Hello {{ name }}"}
VARIABLE = {"name": "name", "type": 1}
DEPLOYMENT = {"template_id": ID, "label": "production", "targets": [{"version": "v1.0"}]}
RENDERING: Bad = [
    *odd({"template_id": ID}, version=["v" * 51], label=["l" * 51], user_key=["k" * 256]),
]

PROMPT_CASES: Cases = {
    "CreateTemplateRequest": (
        [{"name": "Greeting 你好"}, {"name": "g", "description": "d", "category": "c", "visibility": 3}],
        [
            *odd({}, name=["", " ", "a ", "a\nb", "n" * 256]),
            *odd({"name": "n"}, description=["", "d" * 2001], category=["", " c", "c" * 101], visibility=[4]),
            ({"name": "n", "idempotency_key": "k" * 129}, "idempotency_key"),
        ],
    ),
    "GetTemplateRequest": ([{"id": ID}, {"id": ID, "deleted": 2}], [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")]),
    "ListTemplatesRequest": (
        [{}, {"visibility": 1, "category": "c", "owner_user_id": ID}, {"all_tenants": True, "category": "c"}],
        [
            *PAGE,
            *odd({}, visibility=[9], category=["c" * 101], owner_user_id=["ada"], deleted=[9]),
            ({"all_tenants": True, "visibility": 1}, "all_tenants"),
        ],
    ),
    "UpdateTemplateRequest": (
        [{"id": ID}, {"id": ID, "name": "n", "visibility": 2}, {"id": ID, "update_mask": mask("description")}],
        [
            *ids("id"),
            *(({"id": ID, "update_mask": mask(field)}, field) for field in ("name", "visibility")),
            ({"id": ID, "update_mask": mask("owner_user_id")}, "update_mask"),
            *odd({"id": ID}, etag=["e" * 65], name=["", "n" * 256], description=[""], category=["c" * 101]),
            *odd({"id": ID}, visibility=[0, 9]),
        ],
    ),
    "DeleteTemplateRequest": ([{"id": ID}], [*ids("id"), ({"id": ID, "etag": "e" * 65}, "etag")]),
    "RestoreTemplateRequest": ([{"id": ID}], ids("id")),
    "PurgeTemplateRequest": ([{"id": ID}], ids("id")),
    "CreateVersionRequest": (
        [
            TEXT,
            {
                **TEXT,
                "version": "v2.10",
                "variables": [VARIABLE, {**VARIABLE, "name": "_b", "default": {"number_value": 7}}],
            },
            {"template_id": ID, "messages": [{"role": 1, "content": "Be {{ how }}."}, {"role": 2}]},
            {**TEXT, "settings": {"model": "m", "temperature": 0, "max_tokens": 1, "stop": ["a"], "seed": -1}},
        ],
        [
            *((({**TEXT, "template_id": text}), "template_id") for text in ("", "7")),
            *odd(TEXT, version=["1.0", "v1", "v01.0", "v1.123456"], changelog=["c" * 2001], text=["", "t" * 131_073]),
            ({"template_id": ID}, "text"),
            ({**TEXT, "messages": [{"role": 1, "content": "x"}]}, "text"),
            ({"template_id": ID, "messages": [{"role": 1}] * 65}, "messages"),
            ({"template_id": ID, "messages": [{}]}, "messages[0].role"),
            ({"template_id": ID, "messages": [{"role": 1, "content": "c" * 65_537}]}, "messages[0].content"),
            ({**TEXT, "variables": [VARIABLE] * 101}, "variables"),
            ({**TEXT, "variables": [{**VARIABLE, "name": "a b"}]}, "variables[0].name"),
            ({**TEXT, "variables": [{"name": "a"}]}, "variables[0].type"),
            ({**TEXT, "variables": [{**VARIABLE, "description": "d" * 1001}]}, "variables[0].description"),
            ({**TEXT, "settings": {"temperature": 3}}, "settings.temperature"),
            ({**TEXT, "settings": {"max_tokens": 0}}, "settings.max_tokens"),
            ({**TEXT, "settings": {"stop": ["a"] * 5}}, "settings.stop"),
            ({**TEXT, "settings": {"model": "m" * 101}}, "settings.model"),
            ({**TEXT, "idempotency_key": "k" * 129}, "idempotency_key"),
        ],
    ),
    "GetVersionRequest": (
        [{"template_id": ID}, {"template_id": ID, "version": "v1.0"}],
        [*ids("template_id"), ({"template_id": ID, "version": "v" * 51}, "version")],
    ),
    "ListVersionsRequest": (
        [{"template_id": ID}],
        [*ids("template_id"), *odd({"template_id": ID}, page_size=[-1], page_token=["x" * 513])],
    ),
    "DiffVersionsRequest": (
        [{"template_id": ID, "from_version": "v1.0", "to_version": "v1.1"}],
        [
            *(
                ({"template_id": text, "from_version": "v1.0", "to_version": "v1.1"}, "template_id")
                for text in ("", "7")
            ),
            *odd(
                {"template_id": ID, "from_version": "v1.0", "to_version": "v1.1"},
                from_version=["", "v" * 51],
                to_version=["", "v" * 51],
            ),
        ],
    ),
    "SetLabelRequest": (
        [DEPLOYMENT, {**DEPLOYMENT, "protected": True, "targets": [{"version": "v1", "weight": 1}, {"version": "v2"}]}],
        [
            *odd(DEPLOYMENT, template_id=["", "7"], label=["", "a b", "latest", "l" * 51], etag=["e" * 65]),
            *odd(DEPLOYMENT, targets=[[], [{"version": "a"}] * 2, [{"version": str(n)} for n in range(11)]]),
            ({**DEPLOYMENT, "targets": [{"version": ""}]}, "targets[0].version"),
            ({**DEPLOYMENT, "targets": [{"version": "v", "weight": 1001}]}, "targets[0].weight"),
        ],
    ),
    "RemoveLabelRequest": (
        [{"template_id": ID, "label": "production"}],
        odd({"template_id": ID, "label": "production"}, template_id=["", "7"], label=["", "l" * 51], etag=["e" * 65]),
    ),
    "ListLabelsRequest": ([{"template_id": ID}], ids("template_id")),
    "RenderPromptRequest": (
        [{"template_id": ID}, {"template_id": ID, "label": "production", "variables": {"a": 1}, "user_key": "ada"}],
        [*ids("template_id"), *RENDERING],
    ),
    "WatchPromptsRequest": (
        [{}, {"template_ids": [ID, OTHER]}, {"watch_id": ID}, {"watch_id": ID, "after_seq": 7}],
        [
            ({"template_ids": [ID, ID]}, "template_ids"),
            ({"template_ids": ["7"]}, "template_ids[0]"),
            ({"watch_id": "7"}, "watch_id"),
            ({"watch_id": ID, "after_seq": -1}, "after_seq"),
            ({"after_seq": 7}, "after_seq"),
        ],
    ),
    "GetTemplateStatsRequest": (
        [{"template_id": ID}, {"template_id": ID, "day_from": FUTURE}],
        [
            *ids("template_id"),
            ({"template_id": ID, "day_from": Timestamp(seconds=-1)}, "day_from"),
            ({"template_id": ID, "day_until": Timestamp(seconds=10**12)}, "day_until"),
        ],
    ),
}
