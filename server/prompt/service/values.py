"""What the audit log keeps of the slice's objects: their fields as JSON values."""

from __future__ import annotations

from typing import Any

from server.prompt.domain import Label, Template


def template_values(template: Template | None) -> dict[str, Any] | None:
    if template is None:
        return None
    return {
        "name": template.name,
        "description": template.description,
        "category": template.category,
        "visibility": template.visibility,
        "owner_user_id": template.owner_user_id and str(template.owner_user_id),
        "deleted_at": template.deleted_at and template.deleted_at.isoformat(),
        "deleted_by": template.deleted_by,
    }


def label_values(label: Label | None) -> dict[str, Any] | None:
    if label is None:
        return None
    shares = {share.version: share.weight for share in label.shares}
    return {"label": label.label, "versions": shares, "protected": label.protected}
