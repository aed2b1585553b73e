"""Requests of the identity service, good ones and bad ones."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tests.contract.cases import FUTURE, ID, OTHER, PAGE, Cases, ids, mask, odd

USER = {"username": "ada", "email": "ada@acme.test"}
KEY = {"name": "ci", "scopes": ["users:read"]}
ROLE = {"name": "Reviewer", "code": "reviewer"}

IDENTITY_CASES: Cases = {
    "LoginRequest": (
        [{"tenant": "acme", "login": "ada", "password": "x"}],
        odd(
            {"tenant": "acme", "login": "ada", "password": "x"},
            tenant=["", "a" * 64],
            login=["", "a" * 256],
            password=["", "p" * 129],
        ),
    ),
    "RefreshTokenRequest": ([{"refresh_token": "t"}], odd({}, refresh_token=["", "t" * 513])),
    "LogoutRequest": ([{}], []),
    "WhoAmIRequest": ([{}], []),
    "GetJwksRequest": ([{}], []),
    "ChangePasswordRequest": (
        [{"current_password": "x", "new_password": "8 chars!"}, {"current_password": "x", "new_password": "密" * 8}],
        odd(
            {"current_password": "x", "new_password": "8 chars!"},
            current_password=["", "p" * 129],
            new_password=["", "7 chars", "p" * 129],
        ),
    ),
    "CreateUserRequest": (
        [
            USER,
            {**USER, "username": "राम"},
            {**USER, "username": "Zoe\u0308"},
            {**USER, "username": "张三", "password": "8 chars!", "full_name": "张三", "locale": "zh-Hans-CN"},
            {**USER, "avatar_url": "https://cdn.acme.test/a.png", "phone": "1", "timezone": "America/Port-au-Prince"},
        ],
        [
            *odd(USER, username=["", "ada lovelace", "a@b.test", ".a", "u" * 101, "a\u200b", "\u0301a"]),
            *odd(USER, email=["", "ada", "ada@", "a@b@c.test", f"{'a' * 250}@b.test"]),
            *odd(USER, password=["", "7 chars", "p" * 129], full_name=["", "f" * 256], phone=["", "1" * 51]),
            *odd(USER, avatar_url=["", "javascript:alert(1)", "/a.png", "https://a b", f"https://a/{'a' * 2048}"]),
            *odd(USER, locale=["", "中文", "zh_CN", "zh-CN-a-b-c"], timezone=["", "../etc", "a b", "z" * 51]),
            *odd(USER, kind=[9], idempotency_key=["k" * 129]),
            ({**USER, "kind": 2, "password": "8 chars!"}, "password"),
        ],
    ),
    "GetUserRequest": (
        [{"id": ID}, {"id": ID.upper(), "deleted": 3}],
        [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")],
    ),
    "ListUsersRequest": (
        [{}, {"page_size": 1000, "state": 3, "email_verified": False, "last_login_time_until": FUTURE}],
        [
            *PAGE,
            *odd({}, state=[9], deleted=[9]),
            ({"last_login_time_from": Timestamp(seconds=-1)}, "last_login_time_from"),
            ({"last_login_time_until": Timestamp(seconds=10**12)}, "last_login_time_until"),
        ],
    ),
    "UpdateUserRequest": (
        [{"id": ID}, {"id": ID, "state": 2, "etag": "1"}, {"id": ID, "update_mask": mask("full_name", "phone")}],
        [
            *ids("id"),
            ({"id": ID, "update_mask": mask("email_verified")}, "update_mask"),
            *(
                ({"id": ID, "update_mask": mask("phone", field)}, field)
                for field in ("username", "email", "state", "locale", "timezone")
            ),
            *odd({"id": ID}, etag=["e" * 65], state=[0, 3, 9], username=["", "a b", "u" * 101], email=["", "ada"]),
            *odd({"id": ID}, full_name=["", "f" * 256], avatar_url=["", "ftp://a/b"], phone=["", "1" * 51]),
            *odd({"id": ID}, locale=["", "zh_CN"], timezone=["", "a b"]),
        ],
    ),
    "CreateRoleRequest": (
        [ROLE, {**ROLE, "description": "d", "default": True, "priority": 1000}],
        [
            *odd(ROLE, name=["", " n", "n" * 101], code=["", "A", "1a", "a-b", "c" * 101]),
            *odd(ROLE, description=["", "d" * 2001], priority=[-1, 1001], idempotency_key=["k" * 129]),
        ],
    ),
    "GetRoleRequest": ([{"id": ID}], [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")]),
    "ListRolesRequest": ([{}, {"user_id": ID}], [*PAGE, *odd({}, user_id=["ada"], deleted=[9])]),
    **{
        f"{name}Request": ([{"id": ID}], ids("id"))
        for name in (
            *("RestoreUser", "PurgeUser", "LockUser", "UnlockUser", "RestoreRole", "PurgeRole"),
            *("RevokeSession", "RevokeApiKey"),
        )
    },
    **{
        f"Delete{name}Request": ([{"id": ID, "etag": "1"}], [*ids("id"), ({"id": ID, "etag": "e" * 65}, "etag")])
        for name in ("User", "Role")
    },
    **{
        f"List{name}Request": ([{}, {"user_id": ID}], [*PAGE, *odd({}, user_id=["ada"])])
        for name in ("Sessions", "ApiKeys")
    },
    "CreateApiKeyRequest": (
        [KEY, {**KEY, "user_id": ID, "allowed_models": ["gpt-4"], "expire_time": FUTURE, "idempotency_key": "k"}],
        [
            *odd(KEY, name=["", " n", "n" * 101], user_id=["ada"], scopes=[[], ["users:read"] * 2]),
            ({**KEY, "scopes": ["users:read", "Users"]}, "scopes[1]"),
            ({**KEY, "scopes": [f"a:{'b' * n}" for n in range(1, 102)]}, "scopes"),
            ({**KEY, "allowed_models": ["a", ""]}, "allowed_models[1]"),
            *odd(KEY, allowed_models=[["a", "a"]], expire_time=[Timestamp(seconds=1)], idempotency_key=["k" * 129]),
        ],
    ),
    "RotateApiKeyRequest": (
        [{"id": ID}, {"id": ID, "grace": Duration(seconds=3600)}],
        [
            *ids("id"),
            *odd({"id": ID}, grace=[Duration(seconds=-1), Duration(seconds=10**7)], idempotency_key=["k" * 129]),
        ],
    ),
    "UpdateRoleRequest": (
        [{"id": ID}, {"id": ID, "priority": 0, "default": False}, {"id": ID, "update_mask": mask("description")}],
        [
            *ids("id"),
            ({"id": ID, "update_mask": mask("code")}, "update_mask"),
            *(({"id": ID, "update_mask": mask(field)}, field) for field in ("name", "default", "priority")),
            *odd({"id": ID}, etag=["e" * 65], name=["", "n" * 101], description=["", "d" * 2001], priority=[-1, 1001]),
        ],
    ),
    "ListPermissionsRequest": ([{}], []),
    "SetRolePermissionsRequest": (
        [
            {"role_id": ID},
            {"role_id": ID, "permissions": [{"permission": p, "effect": 1} for p in ("users:read", "users:manage")]},
        ],
        [
            *ids("role_id"),
            ({"role_id": ID, "etag": "e" * 65}, "etag"),
            ({"role_id": ID, "permissions": [{"permission": "users:read", "effect": 1}] * 2}, "permissions"),
            ({"role_id": ID, "permissions": [{"permission": "users:read"}]}, "permissions[0].effect"),
            ({"role_id": ID, "permissions": [{"permission": "Users", "effect": 2}]}, "permissions[0].permission"),
            (
                {
                    "role_id": ID,
                    "permissions": [{"permission": f"{a}:{'b' * n}", "effect": 1} for a in "xyz" for n in range(1, 68)],
                },
                "permissions",
            ),
        ],
    ),
    "AssignRoleRequest": (
        [{"user_id": ID, "role_id": OTHER}, {"user_id": ID, "role_id": OTHER, "expire_time": FUTURE}],
        [
            *ids("user_id", "role_id"),
            ({"user_id": ID, "role_id": ID, "expire_time": Timestamp(seconds=1)}, "expire_time"),
            ({"user_id": ID, "role_id": ID, "expire_time": Timestamp(seconds=10**12)}, "expire_time"),
        ],
    ),
    "UnassignRoleRequest": ([{"user_id": ID, "role_id": OTHER}], ids("user_id", "role_id")),
    "CheckPermissionRequest": (
        [{"permissions": ["users:read"]}, {"user_id": ID, "permissions": ["users:read", "users:manage"]}],
        [
            ({}, "permissions"),
            ({"permissions": ["users:read"] * 2}, "permissions"),
            ({"permissions": [f"a:{'b' * n}" for n in range(1, 102)]}, "permissions"),
            ({"permissions": ["users:read", "users"]}, "permissions[1]"),
            ({"permissions": ["users:read"], "user_id": "ada"}, "user_id"),
        ],
    ),
    "RequestPasswordResetRequest": (
        [{"tenant": "acme", "login": "ada"}],
        odd({"tenant": "acme", "login": "ada"}, tenant=["", "a" * 64], login=["", "a" * 256]),
    ),
    "ResetPasswordRequest": (
        [{"token": "t", "new_password": "8 chars!"}],
        odd(
            {"token": "t", "new_password": "8 chars!"},
            token=["", "t" * 513],
            new_password=["", "7 chars", "p" * 129],
        ),
    ),
    "RequestEmailVerificationRequest": ([{}], []),
    "VerifyEmailRequest": ([{"token": "t"}], odd({}, token=["", "t" * 513])),
}
