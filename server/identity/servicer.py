"""The IdentityService: converts, calls, converts."""

from __future__ import annotations

from uuid import UUID

from atrium.identity.v1 import (
    api_key_pb2,
    email_verification_pb2,
    password_pb2,
    permission_pb2,
    role_pb2,
    session_pb2,
    user_pb2,
)
from server.identity import convert
from server.identity.service.api_keys import ApiKeyService
from server.identity.service.recovery import RecoveryService
from server.identity.service.roles import RoleService
from server.identity.service.sessions import SessionService
from server.identity.service.standing import within_scope
from server.identity.service.users import UserService
from server.kernel.permissions import Permission
from server.kernel.principal import current_call
from server.rpc.chain import Context
from server.rpc.pages import Pages
from server.rpc.wire import deletion, moment, uuid_or_none


class IdentityServicer:
    """People, roles and sessions."""

    def __init__(
        self,
        sessions: SessionService,
        users: UserService,
        roles: RoleService,
        api_keys: ApiKeyService,
        recovery: RecoveryService,
        pages: Pages,
    ) -> None:
        self._sessions = sessions
        self._users = users
        self._roles = roles
        self._api_keys = api_keys
        self._recovery = recovery
        self._pages = pages

    async def Login(self, request: session_pb2.LoginRequest, context: Context) -> session_pb2.LoginResponse:
        pair = await self._sessions.login(request.tenant, request.login, request.password)
        return session_pb2.LoginResponse(tokens=convert.tokens(pair), user=convert.user(pair.user))

    async def RefreshToken(
        self, request: session_pb2.RefreshTokenRequest, context: Context
    ) -> session_pb2.RefreshTokenResponse:
        return session_pb2.RefreshTokenResponse(
            tokens=convert.tokens(await self._sessions.refresh(request.refresh_token))
        )

    async def Logout(self, request: session_pb2.LogoutRequest, context: Context) -> session_pb2.LogoutResponse:
        await self._sessions.logout()
        return session_pb2.LogoutResponse()

    async def WhoAmI(self, request: session_pb2.WhoAmIRequest, context: Context) -> session_pb2.WhoAmIResponse:
        return convert.who(current_call().caller)

    async def GetJwks(self, request: session_pb2.GetJwksRequest, context: Context) -> session_pb2.GetJwksResponse:
        return session_pb2.GetJwksResponse(keys=[session_pb2.Jwk(**key) for key in await self._sessions.jwks()])

    async def ChangePassword(
        self, request: password_pb2.ChangePasswordRequest, context: Context
    ) -> password_pb2.ChangePasswordResponse:
        await self._sessions.change_password(request.current_password, request.new_password)
        return password_pb2.ChangePasswordResponse()

    async def CreateUser(self, request: user_pb2.CreateUserRequest, context: Context) -> user_pb2.CreateUserResponse:
        password = request.password if request.HasField("password") else None
        return user_pb2.CreateUserResponse(
            user=convert.user(await self._users.create(convert.new_user(request), password))
        )

    async def GetUser(self, request: user_pb2.GetUserRequest, context: Context) -> user_pb2.GetUserResponse:
        return user_pb2.GetUserResponse(user=convert.user(await self._users.get(UUID(request.id), deletion(request))))

    async def ListUsers(self, request: user_pb2.ListUsersRequest, context: Context) -> user_pb2.ListUsersResponse:
        page = await self._users.page(self._pages.read(request), deletion(request), convert.user_filters(request))
        return user_pb2.ListUsersResponse(
            users=[convert.user(user) for user in page.items], next_page_token=self._pages.next(request, page)
        )

    async def UpdateUser(self, request: user_pb2.UpdateUserRequest, context: Context) -> user_pb2.UpdateUserResponse:
        user = await self._users.update(UUID(request.id), convert.user_changes(request), request.etag)
        return user_pb2.UpdateUserResponse(user=convert.user(user))

    async def CreateRole(self, request: role_pb2.CreateRoleRequest, context: Context) -> role_pb2.CreateRoleResponse:
        return role_pb2.CreateRoleResponse(role=convert.role(await self._roles.create(convert.new_role(request))))

    async def GetRole(self, request: role_pb2.GetRoleRequest, context: Context) -> role_pb2.GetRoleResponse:
        return role_pb2.GetRoleResponse(role=convert.role(await self._roles.get(UUID(request.id), deletion(request))))

    async def ListRoles(self, request: role_pb2.ListRolesRequest, context: Context) -> role_pb2.ListRolesResponse:
        page = await self._roles.page(self._pages.read(request), deletion(request), uuid_or_none(request.user_id))
        return role_pb2.ListRolesResponse(
            roles=[convert.role(role) for role in page.items], next_page_token=self._pages.next(request, page)
        )

    async def UpdateRole(self, request: role_pb2.UpdateRoleRequest, context: Context) -> role_pb2.UpdateRoleResponse:
        role = await self._roles.update(UUID(request.id), convert.role_changes(request), request.etag)
        return role_pb2.UpdateRoleResponse(role=convert.role(role))

    async def ListPermissions(
        self, request: permission_pb2.ListPermissionsRequest, context: Context
    ) -> permission_pb2.ListPermissionsResponse:
        permissions = await self._roles.permissions()
        return permission_pb2.ListPermissionsResponse(
            permissions=[convert.permission(permission) for permission in permissions]
        )

    async def SetRolePermissions(
        self, request: role_pb2.SetRolePermissionsRequest, context: Context
    ) -> role_pb2.SetRolePermissionsResponse:
        role = await self._roles.set_permissions(UUID(request.role_id), convert.entries(request), request.etag)
        return role_pb2.SetRolePermissionsResponse(role=convert.role(role))

    async def AssignRole(self, request: role_pb2.AssignRoleRequest, context: Context) -> role_pb2.AssignRoleResponse:
        await self._roles.assign(UUID(request.user_id), UUID(request.role_id), moment(request, "expire_time"))
        return role_pb2.AssignRoleResponse()

    async def UnassignRole(
        self, request: role_pb2.UnassignRoleRequest, context: Context
    ) -> role_pb2.UnassignRoleResponse:
        await self._roles.unassign(UUID(request.user_id), UUID(request.role_id))
        return role_pb2.UnassignRoleResponse()

    async def CheckPermission(
        self, request: permission_pb2.CheckPermissionRequest, context: Context
    ) -> permission_pb2.CheckPermissionResponse:
        found = await self._roles.check(uuid_or_none(request.user_id), convert.wanted(request))
        return convert.decisions(*found)

    async def RequestPasswordReset(
        self, request: password_pb2.RequestPasswordResetRequest, context: Context
    ) -> password_pb2.RequestPasswordResetResponse:
        await self._recovery.request_password_reset(request.tenant, request.login)
        return password_pb2.RequestPasswordResetResponse()

    async def ResetPassword(
        self, request: password_pb2.ResetPasswordRequest, context: Context
    ) -> password_pb2.ResetPasswordResponse:
        await self._recovery.reset_password(request.token, request.new_password)
        return password_pb2.ResetPasswordResponse()

    async def RequestEmailVerification(
        self, request: email_verification_pb2.RequestEmailVerificationRequest, context: Context
    ) -> email_verification_pb2.RequestEmailVerificationResponse:
        await self._recovery.request_email_verification()
        return email_verification_pb2.RequestEmailVerificationResponse()

    async def VerifyEmail(
        self, request: email_verification_pb2.VerifyEmailRequest, context: Context
    ) -> email_verification_pb2.VerifyEmailResponse:
        await self._recovery.verify_email(request.token)
        return email_verification_pb2.VerifyEmailResponse()

    async def DeleteUser(self, request: user_pb2.DeleteUserRequest, context: Context) -> user_pb2.DeleteUserResponse:
        await self._users.delete(UUID(request.id), request.etag)
        return user_pb2.DeleteUserResponse()

    async def RestoreUser(self, request: user_pb2.RestoreUserRequest, context: Context) -> user_pb2.RestoreUserResponse:
        return user_pb2.RestoreUserResponse(user=convert.user(await self._users.restore(UUID(request.id))))

    async def PurgeUser(self, request: user_pb2.PurgeUserRequest, context: Context) -> user_pb2.PurgeUserResponse:
        await self._users.purge(UUID(request.id))
        return user_pb2.PurgeUserResponse()

    async def LockUser(self, request: user_pb2.LockUserRequest, context: Context) -> user_pb2.LockUserResponse:
        return user_pb2.LockUserResponse(user=convert.user(await self._users.lock(UUID(request.id))))

    async def UnlockUser(self, request: user_pb2.UnlockUserRequest, context: Context) -> user_pb2.UnlockUserResponse:
        return user_pb2.UnlockUserResponse(user=convert.user(await self._users.unlock(UUID(request.id))))

    async def DeleteRole(self, request: role_pb2.DeleteRoleRequest, context: Context) -> role_pb2.DeleteRoleResponse:
        await self._roles.delete(UUID(request.id), request.etag)
        return role_pb2.DeleteRoleResponse()

    async def RestoreRole(self, request: role_pb2.RestoreRoleRequest, context: Context) -> role_pb2.RestoreRoleResponse:
        return role_pb2.RestoreRoleResponse(role=convert.role(await self._roles.restore(UUID(request.id))))

    async def PurgeRole(self, request: role_pb2.PurgeRoleRequest, context: Context) -> role_pb2.PurgeRoleResponse:
        await self._roles.purge(UUID(request.id))
        return role_pb2.PurgeRoleResponse()

    async def ListSessions(
        self, request: session_pb2.ListSessionsRequest, context: Context
    ) -> session_pb2.ListSessionsResponse:
        within_scope(current_call().caller, Permission.USERS_MANAGE)
        page = await self._sessions.page(self._pages.read(request), uuid_or_none(request.user_id))
        current = current_call().caller.session_id
        return session_pb2.ListSessionsResponse(
            sessions=[convert.session(session, current) for session in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def RevokeSession(
        self, request: session_pb2.RevokeSessionRequest, context: Context
    ) -> session_pb2.RevokeSessionResponse:
        within_scope(current_call().caller, Permission.USERS_MANAGE)
        await self._sessions.revoke(UUID(request.id))
        return session_pb2.RevokeSessionResponse()

    async def CreateApiKey(
        self, request: api_key_pb2.CreateApiKeyRequest, context: Context
    ) -> api_key_pb2.CreateApiKeyResponse:
        key, secret = await self._api_keys.create(
            uuid_or_none(request.user_id),
            request.name,
            convert.scopes(request),
            request.allowed_models,
            moment(request, "expire_time"),
        )
        return api_key_pb2.CreateApiKeyResponse(api_key=convert.api_key(key), secret=secret)

    async def ListApiKeys(
        self, request: api_key_pb2.ListApiKeysRequest, context: Context
    ) -> api_key_pb2.ListApiKeysResponse:
        page = await self._api_keys.page(self._pages.read(request), uuid_or_none(request.user_id))
        return api_key_pb2.ListApiKeysResponse(
            api_keys=[convert.api_key(key) for key in page.items], next_page_token=self._pages.next(request, page)
        )

    async def RotateApiKey(
        self, request: api_key_pb2.RotateApiKeyRequest, context: Context
    ) -> api_key_pb2.RotateApiKeyResponse:
        key, secret = await self._api_keys.rotate(UUID(request.id), request.grace.ToTimedelta())
        return api_key_pb2.RotateApiKeyResponse(api_key=convert.api_key(key), secret=secret)

    async def RevokeApiKey(
        self, request: api_key_pb2.RevokeApiKeyRequest, context: Context
    ) -> api_key_pb2.RevokeApiKeyResponse:
        await self._api_keys.revoke(UUID(request.id))
        return api_key_pb2.RevokeApiKeyResponse()
