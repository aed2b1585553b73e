"""Changes to prompts."""

from __future__ import annotations

from tests.rpc.changes.stage import Attempt, Stage, by_id, change_of, numbers
from tests.rpc.methods import PROMPT


@change_of(PROMPT + "CreateTemplate")
async def _(stage: Stage) -> Attempt:
    fields = {"name": "made", "description": "Made", "category": "a", "visibility": 2}
    await stage.call(PROMPT + "CreateTemplate", name="taken", visibility=2)
    return stage.attempt(
        PROMPT + "CreateTemplate",
        *("templates.create", "prompt_template"),
        fields,
        {**fields, "name": "taken"},
        tables=("prompt_templates",),
    )


@change_of(PROMPT + "UpdateTemplate")
async def _(stage: Stage) -> Attempt:
    template_id = await stage.template()
    fields = {"id": template_id, "name": "other", "description": "Other", "category": "b", "visibility": 1}
    return stage.attempt(
        PROMPT + "UpdateTemplate",
        *("templates.update", "prompt_template"),
        fields,
        {**fields, "etag": "stale"},
        target=template_id,
        tables=("prompt_templates",),
    )


@change_of(PROMPT + "DeleteTemplate")
async def _(stage: Stage) -> Attempt:
    return by_id(stage, PROMPT + "DeleteTemplate", "templates.delete", "prompt_template", await stage.template())


@change_of(PROMPT + "RestoreTemplate")
async def _(stage: Stage) -> Attempt:
    template_id = await stage.template()
    await stage.call(PROMPT + "DeleteTemplate", id=template_id)
    return by_id(stage, PROMPT + "RestoreTemplate", "templates.restore", "prompt_template", template_id)


@change_of(PROMPT + "PurgeTemplate")
async def _(stage: Stage) -> Attempt:
    made = await stage.call(PROMPT + "CreateTemplate", stage.platform, name=f"purged {next(numbers)}", visibility=2)
    await stage.call(PROMPT + "CreateVersion", stage.platform, template_id=made.template.id, text="Hello")
    target = {"label": "production", "targets": [{"version": "v1.0"}]}
    await stage.call(PROMPT + "SetLabel", stage.platform, template_id=made.template.id, **target)
    await stage.call(PROMPT + "DeleteTemplate", stage.platform, id=made.template.id)
    return by_id(
        stage,
        PROMPT + "PurgeTemplate",
        *("templates.purge", "prompt_template", made.template.id),
        by=stage.platform,
        beside=("prompt_template_versions", "prompt_labels"),
        old={
            "versions": ["v1.0"],
            "labels": [{"label": "production", "versions": {"v1.0": 100}, "protected": False}],
        },
    )


@change_of(PROMPT + "CreateVersion")
async def _(stage: Stage) -> Attempt:
    template_id = await stage.template()
    fields = {"template_id": template_id, "text": "Hi", "version": "v2.0", "changelog": "Shorter"}
    return stage.attempt(
        PROMPT + "CreateVersion",
        *("templates.create_version", "prompt_template"),
        fields,
        {**fields, "version": "v1.0"},
        target=template_id,
        beside=("prompt_templates", "prompt_template_versions"),
        old={"version": "v1.0"},
        new={"version": "v2.0", "changelog": "Shorter"},
    )


@change_of(PROMPT + "SetLabel")
async def _(stage: Stage) -> Attempt:
    template_id = await stage.template()
    await stage.call(PROMPT + "CreateVersion", template_id=template_id, text="Hi")
    fields = {"template_id": template_id, "label": "production", "targets": [{"version": "v1.0"}]}
    made = await stage.call(PROMPT + "SetLabel", **fields)
    return stage.attempt(
        PROMPT + "SetLabel",
        *("templates.set_label", "prompt_template"),
        {**fields, "targets": [{"version": "v1.1"}], "protected": True},
        {**fields, "targets": [{"version": "v9.9"}]},
        target=template_id,
        beside=("prompt_templates", "prompt_labels"),
        etag=made.label.etag,
        old={"label": "production", "versions": {"v1.0": 100}, "protected": False},
        new={"label": "production", "versions": {"v1.1": 100}, "protected": True},
    )


@change_of(PROMPT + "RemoveLabel")
async def _(stage: Stage) -> Attempt:
    template_id = await stage.template()
    fields = {"template_id": template_id, "label": "production"}
    made = await stage.call(PROMPT + "SetLabel", **fields, targets=[{"version": "v1.0"}])
    return stage.attempt(
        PROMPT + "RemoveLabel",
        *("templates.remove_label", "prompt_template"),
        fields,
        {**fields, "label": "other"},
        target=template_id,
        beside=("prompt_templates", "prompt_labels"),
        etag=made.label.etag,
        old={"label": "production", "versions": {"v1.0": 100}, "protected": False},
    )
