"""What a tenant's tier gives it beyond limits."""

from __future__ import annotations

from enum import StrEnum

from server.kernel.errors import FailedPrecondition


class Feature(StrEnum):
    """Every feature there is, sorted."""

    AUDIT_EXPORT = "audit_export"
    CUSTOM_MODELS = "custom_models"
    LONGER_RETENTION = "longer_retention"
    OWN_CREDENTIALS = "own_credentials"


class FeatureMissing(FailedPrecondition):
    """The tenant's tier does not give it {subject}."""
