"""What the permission over roles is called: 管理角色, as the others are, verb first."""

from alembic import op

revision = "0019"
down_revision = "0018"

_DESCRIBE = (
    "UPDATE permissions SET description = '{}' WHERE resource = 'roles' AND action = 'manage' AND description = '{}'"
)
_BEFORE = "角色管理 Manage roles and who holds them"
_AFTER = "管理角色 Manage roles and who holds them"


def upgrade() -> None:
    op.execute(_DESCRIBE.format(_AFTER, _BEFORE))


def downgrade() -> None:
    op.execute(_DESCRIBE.format(_BEFORE, _AFTER))
