"""What tenants do with their people: users, roles, keys, sessions and passwords."""

from __future__ import annotations

import grpc
from hypothesis import strategies as st
from hypothesis.stateful import rule

from atrium.identity.v1 import api_key_pb2, password_pb2, role_pb2, session_pb2, user_pb2
from tests.factories.world import refused
from tests.isolation.machine import NAMES, PERMISSIONS, PICKS, SIDES, Machine, picked

ACTIVE, INACTIVE = user_pb2.User.STATE_ACTIVE, user_pb2.User.STATE_INACTIVE


class People(Machine):
    """The steps that the identity service takes part in."""

    @rule(side=SIDES, name=NAMES)
    def create_user(self, side: int, name: str) -> None:
        own = self.tenants[side]
        request = user_pb2.CreateUserRequest(username=name, email=f"{name}@example.com")
        if name in {username for username, *_ in own.users.values()}:
            refusal = self.refused(side, self.server.world.identity.CreateUser, request)
            assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
        else:
            made = self.call(side, self.server.world.identity.CreateUser, request).user
            own.users[made.id] = (name, "", ACTIVE)
            own.held[made.id] = own.default_roles

    @rule(side=SIDES, pick=PICKS, full_name=NAMES, state=st.sampled_from([ACTIVE, INACTIVE]))
    def update_user(self, side: int, pick: int, full_name: str, state: int) -> None:
        own = self.tenants[side]
        user_id = picked(own.users, pick)
        if user_id == own.administrator.id:
            state = ACTIVE
        request = user_pb2.UpdateUserRequest(id=user_id, full_name=full_name, state=state)
        self.call(side, self.server.world.identity.UpdateUser, request)
        own.users[user_id] = (own.users[user_id][0], full_name, state)

    @rule(side=SIDES, pick=PICKS)
    def delete_user(self, side: int, pick: int) -> None:
        own = self.tenants[side]
        user_id = picked(own.users, pick)
        request = user_pb2.DeleteUserRequest(id=user_id)
        if user_id == own.administrator.id:
            assert self.refused(side, self.server.world.identity.DeleteUser, request).reason == "LAST_ADMINISTRATOR"
        else:
            self.call(side, self.server.world.identity.DeleteUser, request)
            own.deleted[user_id] = (own.users.pop(user_id), own.held.pop(user_id))

    @rule(side=SIDES, pick=PICKS)
    def restore_user(self, side: int, pick: int) -> None:
        own = self.tenants[side]
        if not own.deleted:
            return
        user_id = picked(own.deleted, pick)
        request = user_pb2.RestoreUserRequest(id=user_id)
        if own.deleted[user_id][0][0] in {username for username, *_ in own.users.values()}:
            refusal = self.refused(side, self.server.world.identity.RestoreUser, request)
            assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
        else:
            self.call(side, self.server.world.identity.RestoreUser, request)
            own.users[user_id], own.held[user_id] = own.deleted.pop(user_id)

    @rule(side=SIDES, scope=st.sampled_from(PERMISSIONS))
    def call_with_a_key(self, side: int, scope: str) -> None:
        """A key of one tenant's, which claims to be of the other, finds its own."""
        own, people = self.tenants[side], self.server.world.identity
        made = self.call(side, people.CreateApiKey, api_key_pb2.CreateApiKeyRequest(name="key", scopes=[scope]))
        metadata = (("x-api-key", made.secret), ("x-tenant-id", self.tenants[1 - side].administrator.tenant_id))
        me = self.server.run(people.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata))
        assert (me.tenant_id, me.user_id) == (own.administrator.tenant_id, own.administrator.id)
        own.keys.append(made.api_key.id)
        while (
            not self.call(side, people.ListApiKeys, api_key_pb2.ListApiKeysRequest())
            .api_keys[0]
            .HasField("last_use_time")
        ):
            self.server.pause()  # it is noted after the call, and must not be taken for another step's

    @rule(side=SIDES, code=NAMES)
    def create_role(self, side: int, code: str) -> None:
        own = self.tenants[side]
        request = role_pb2.CreateRoleRequest(name="Made", code=code)
        if code in {known for known, *_ in own.roles.values()}:
            assert self.refused(side, self.server.world.identity.CreateRole, request).reason == "ROLE_CODE_TAKEN"
        else:
            made = self.call(side, self.server.world.identity.CreateRole, request).role
            own.roles[made.id] = (code, "Made", frozenset())
            own.made.append(made.id)

    @rule(side=SIDES, pick=PICKS, name=NAMES, permissions=st.sets(st.sampled_from(PERMISSIONS)))
    def change_role(self, side: int, pick: int, name: str, permissions: set[str]) -> None:
        own = self.tenants[side]
        if not own.made:
            return
        role_id = own.made[pick % len(own.made)]
        self.call(side, self.server.world.identity.UpdateRole, role_pb2.UpdateRoleRequest(id=role_id, name=name))
        entries = [role_pb2.RolePermission(permission=it, effect=role_pb2.EFFECT_ALLOW) for it in sorted(permissions)]
        request = role_pb2.SetRolePermissionsRequest(role_id=role_id, permissions=entries)
        self.call(side, self.server.world.identity.SetRolePermissions, request)
        own.roles[role_id] = (own.roles[role_id][0], name, frozenset(permissions))

    @rule(side=SIDES, user=PICKS, role=PICKS)
    def assign_or_unassign(self, side: int, user: int, role: int) -> None:
        own = self.tenants[side]
        if not own.made:
            return
        user_id, role_id = picked(own.users, user), own.made[role % len(own.made)]
        ids = {"user_id": user_id, "role_id": role_id}
        if role_id in own.held[user_id]:
            self.call(side, self.server.world.identity.UnassignRole, role_pb2.UnassignRoleRequest(**ids))
        else:
            self.call(side, self.server.world.identity.AssignRole, role_pb2.AssignRoleRequest(**ids))
        own.held[user_id] ^= {role_id}

    @rule(side=SIDES)
    def sign_in(self, side: int) -> None:
        """The same login in both tenants; the session is of the tenant that is named in the request."""
        own, people = self.tenants[side], self.server.world.identity
        request = session_pb2.LoginRequest(tenant=own.administrator.tenant, login="admin", password=own.password)
        tokens = self.call(side, people.Login, request).tokens
        me = self.server.run(people.WhoAmI(session_pb2.WhoAmIRequest(), metadata=self.acting(side, tokens)))
        assert (me.tenant_id, me.user_id) == (own.administrator.tenant_id, own.administrator.id)
        own.sessions.add(me.session_id)
        own.tokens[me.session_id] = tokens

    @rule(side=SIDES, pick=PICKS)
    def refresh(self, side: int, pick: int) -> None:
        own, people = self.tenants[side], self.server.world.identity
        if not own.tokens:
            return
        session_id = picked(own.tokens, pick)
        request = session_pb2.RefreshTokenRequest(refresh_token=own.tokens[session_id].refresh_token)
        own.tokens[session_id] = self.call(side, people.RefreshToken, request).tokens
        acting = self.acting(side, own.tokens[session_id])
        assert self.server.run(people.WhoAmI(session_pb2.WhoAmIRequest(), metadata=acting)).session_id == session_id

    @rule(side=SIDES, pick=PICKS)
    def sign_out(self, side: int, pick: int) -> None:
        own, people = self.tenants[side], self.server.world.identity
        if not own.tokens:
            return
        session_id = picked(own.tokens, pick)
        acting = self.acting(side, own.tokens.pop(session_id))
        self.server.run(people.Logout(session_pb2.LogoutRequest(), metadata=acting))
        own.sessions.remove(session_id)
        refusal = self.server.run(refused(people.WhoAmI(session_pb2.WhoAmIRequest(), metadata=acting)))
        assert refusal.reason == "SESSION_REVOKED"

    @rule(side=SIDES, pick=PICKS)
    def change_password(self, side: int, pick: int) -> None:
        """All sessions of this administrator's but the first end, and none of the other's, who has the same name."""
        own = self.tenants[side]
        new = f"{own.password[:20]} {pick}"
        if new == own.password:
            return
        request = password_pb2.ChangePasswordRequest(current_password=own.password, new_password=new)
        self.call(side, self.server.world.identity.ChangePassword, request)
        own.password = new
        own.sessions -= own.tokens.keys()
        own.tokens.clear()
