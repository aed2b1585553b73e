"""The IdentityService: converts, calls, converts."""

from __future__ import annotations

from uuid import UUID

from atrium.identity.v1 import api_key_pb2, role_pb2, session_pb2, user_pb2
from atrium.identity.v1 import identity_service_pb2 as pb
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

    async def Login(self, request: pb.LoginRequest, context: Context) -> pb.LoginResponse:
        pair = await self._sessions.login(request.tenant, request.login, request.password)
        return pb.LoginResponse(tokens=convert.tokens(pair), user=convert.user(pair.user))

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: Context) -> pb.RefreshTokenResponse:
        return pb.RefreshTokenResponse(tokens=convert.tokens(await self._sessions.refresh(request.refresh_token)))

    async def Logout(self, request: pb.LogoutRequest, context: Context) -> pb.LogoutResponse:
        await self._sessions.logout()
        return pb.LogoutResponse()

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: Context) -> pb.WhoAmIResponse:
        return convert.who(current_call().caller)

    async def GetJwks(self, request: pb.GetJwksRequest, context: Context) -> pb.GetJwksResponse:
        return pb.GetJwksResponse(keys=[session_pb2.Jwk(**key) for key in self._sessions.jwks()])

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Context) -> pb.ChangePasswordResponse:
        await self._sessions.change_password(request.current_password, request.new_password)
        return pb.ChangePasswordResponse()

    async def CreateUser(self, request: pb.CreateUserRequest, context: Context) -> pb.CreateUserResponse:
        password = request.password if request.HasField("password") else None
        return pb.CreateUserResponse(user=convert.user(await self._users.create(convert.new_user(request), password)))

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        return pb.GetUserResponse(user=convert.user(await self._users.get(UUID(request.id), deletion(request))))

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        page = await self._users.page(self._pages.read(request), deletion(request), convert.user_filters(request))
        return pb.ListUsersResponse(
            users=[convert.user(user) for user in page.items], next_page_token=self._pages.next(request, page)
        )

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> pb.UpdateUserResponse:
        user = await self._users.update(UUID(request.id), convert.user_changes(request), request.etag)
        return pb.UpdateUserResponse(user=convert.user(user))

    async def CreateRole(self, request: pb.CreateRoleRequest, context: Context) -> pb.CreateRoleResponse:
        return pb.CreateRoleResponse(role=convert.role(await self._roles.create(convert.new_role(request))))

    async def GetRole(self, request: pb.GetRoleRequest, context: Context) -> pb.GetRoleResponse:
        return pb.GetRoleResponse(role=convert.role(await self._roles.get(UUID(request.id), deletion(request))))

    async def ListRoles(self, request: pb.ListRolesRequest, context: Context) -> pb.ListRolesResponse:
        page = await self._roles.page(self._pages.read(request), deletion(request), uuid_or_none(request.user_id))
        return pb.ListRolesResponse(
            roles=[convert.role(role) for role in page.items], next_page_token=self._pages.next(request, page)
        )

    async def UpdateRole(self, request: pb.UpdateRoleRequest, context: Context) -> pb.UpdateRoleResponse:
        role = await self._roles.update(UUID(request.id), convert.role_changes(request), request.etag)
        return pb.UpdateRoleResponse(role=convert.role(role))

    async def ListPermissions(self, request: pb.ListPermissionsRequest, context: Context) -> pb.ListPermissionsResponse:
        permissions = await self._roles.permissions()
        return pb.ListPermissionsResponse(permissions=[convert.permission(permission) for permission in permissions])

    async def SetRolePermissions(
        self, request: pb.SetRolePermissionsRequest, context: Context
    ) -> pb.SetRolePermissionsResponse:
        role = await self._roles.set_permissions(UUID(request.role_id), convert.entries(request), request.etag)
        return pb.SetRolePermissionsResponse(role=convert.role(role))

    async def AssignRole(self, request: pb.AssignRoleRequest, context: Context) -> pb.AssignRoleResponse:
        await self._roles.assign(UUID(request.user_id), UUID(request.role_id), moment(request, "expire_time"))
        return pb.AssignRoleResponse()

    async def UnassignRole(self, request: pb.UnassignRoleRequest, context: Context) -> pb.UnassignRoleResponse:
        await self._roles.unassign(UUID(request.user_id), UUID(request.role_id))
        return pb.UnassignRoleResponse()

    async def CheckPermission(self, request: pb.CheckPermissionRequest, context: Context) -> pb.CheckPermissionResponse:
        status, decisions = await self._roles.check(uuid_or_none(request.user_id), convert.wanted(request))
        return convert.decisions(status, decisions)

    async def RequestPasswordReset(
        self, request: pb.RequestPasswordResetRequest, context: Context
    ) -> pb.RequestPasswordResetResponse:
        await self._recovery.request_password_reset(request.tenant, request.login)
        return pb.RequestPasswordResetResponse()

    async def ResetPassword(self, request: pb.ResetPasswordRequest, context: Context) -> pb.ResetPasswordResponse:
        await self._recovery.reset_password(request.token, request.new_password)
        return pb.ResetPasswordResponse()

    async def RequestEmailVerification(
        self, request: pb.RequestEmailVerificationRequest, context: Context
    ) -> pb.RequestEmailVerificationResponse:
        await self._recovery.request_email_verification()
        return pb.RequestEmailVerificationResponse()

    async def VerifyEmail(self, request: pb.VerifyEmailRequest, context: Context) -> pb.VerifyEmailResponse:
        await self._recovery.verify_email(request.token)
        return pb.VerifyEmailResponse()

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
