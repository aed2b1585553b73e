"""What a test of tenants side by side goes by: one server for every example, and what each tenant must find."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.factories.world import PASSWORD, Person, World
from tests.fakes.openai_stub import OpenAIStub

Result = TypeVar("Result")

TABLES = """
SELECT c.relname, a.attname FROM pg_class c
LEFT JOIN pg_attribute a ON a.attrelid = c.oid
    AND a.attname = CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relname <> 'ddl_audit_logs'
"""
"""All but the log of what is done to the schema: tables of months are made by themselves. With the column that says
whose a row is; NULL: no row is a tenant's.
"""

NOBODY = "nobody"
"""Whose the rows are that are no tenant's."""

_UNDER_WAY = """
SELECT EXISTS (SELECT FROM generations WHERE NOT ended)
    OR EXISTS (SELECT FROM workflow_executions WHERE status IN ('pending', 'running'))
    OR EXISTS (SELECT FROM tenant_jobs WHERE status <> 'aside')
    OR EXISTS (SELECT FROM quota_holds)
"""


class Side:
    """One server for every example: the loop it runs on, and a connection that sees every row."""

    def __init__(
        self, runner: asyncio.Runner, world: World, stub: OpenAIStub, admin: Any, tables: list[tuple[str, str | None]]
    ) -> None:
        self._runner = runner
        self.world = world
        self.stub = stub
        self._admin = admin
        self._digests = " UNION ALL ".join(
            f"SELECT '{table}' AS name, {whose} AS tenant, "
            f"md5(string_agg(t::text, '|' ORDER BY t::text)) AS digest FROM {table} t GROUP BY {whose}"
            for table, whose in (
                (table, f"'{NOBODY}'::text" if column is None else f"{column}::text") for table, column in tables
            )
        )

    def run(self, work: Awaitable[Result]) -> Result:
        """The outcome of what is awaited, on the loop of the server."""

        async def awaited() -> Result:
            return await work

        return self._runner.run(awaited())

    def written(self) -> None:
        """Waits until nothing is under way: streams are written down after their last event, jobs end after what they
        were asked for is done, and what is held for calls to come is given back.
        """
        while self.run(self._admin.fetchval(_UNDER_WAY)):
            self.pause()

    def pause(self) -> None:
        """Leaves the processor to the server for a moment."""
        self.run(asyncio.sleep(0.01))

    def rows(self) -> dict[tuple[str, str], str]:
        """What each tenant, and nobody, has in each table, in short."""
        found = self.run(self._admin.fetch(self._digests))
        return {(row["tenant"], row["name"]): row["digest"] for row in found}


@dataclass
class Tenant:
    """What a tenant must find when it looks: its administrator, and every object by its id."""

    administrator: Person
    users: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    roles: dict[str, tuple[str, str, frozenset[str]]] = field(default_factory=dict)
    held: dict[str, frozenset[str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    config: tuple[float, int] = (0.0, 0)
    made: list[str] = field(default_factory=list)
    """The roles of its own making, oldest first."""
    deleted: dict[str, tuple[tuple[str, str, int], frozenset[str]]] = field(default_factory=dict)
    """Users, and the roles that they hold when they are back."""
    keys: list[str] = field(default_factory=list)
    default_roles: frozenset[str] = frozenset()
    templates: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Names and newest versions."""
    bases: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Names of knowledge bases, and the states of these."""
    gone: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Those that are deleted, as they are when they are back."""
    workflows: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Names and newest versions."""
    ended: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Those that are deleted."""
    agents: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Names and kinds."""
    dismissed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Those that are deleted."""
    routes: dict[str, str] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    """The administrator's that are not over."""
    tokens: dict[str, Any] = field(default_factory=dict)
    """Those of the administrator's sessions but the first."""
    password: str = PASSWORD
    """The administrator's."""
    models: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Names and descriptions."""
    credentials: dict[str, str] = field(default_factory=dict)
    limits: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Whose they are, and the most calls in a minute."""
    generations: list[str] = field(default_factory=list)
    documents: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The bases that they are in, and their titles."""
    uploads: list[str] = field(default_factory=list)
    executions: dict[str, str] = field(default_factory=dict)
    """The workflows that were executed."""
    entries: set[str] = field(default_factory=set)
    """Those of its audit log that it has read."""

    @property
    def contents(self) -> dict[str, tuple[str, str]]:
        """The documents of those bases that are there."""
        return {document_id: told for document_id, told in self.documents.items() if told[0] in self.bases}

    def objects(self) -> dict[str, Collection[str]]:
        """The ids of all that it has, by the kinds of `tests.rpc.by_id`."""
        return {
            "user": {**self.users, **self.deleted},
            "role": self.roles,
            "session": self.sessions,
            "key": self.keys,
            "credential": self.credentials,
            "tenant_model": self.models,
            "route": self.routes,
            "call_log": self.calls,
            "audit_log": self.entries,
            "limits": self.limits,
            "template": self.templates,
            "knowledge_base": {**self.bases, **self.gone},
            "document": self.documents,
            "upload": self.uploads,
            "workflow": {**self.workflows, **self.ended},
            "execution": self.executions,
            "agent": {**self.agents, **self.dismissed},
            "generation": self.generations,
            "tenant": [self.administrator.tenant_id],
        }


SHOWN = (
    *("users", "roles", "held", "calls", "config", "keys", "templates", "routes"),
    *("sessions", "models", "credentials", "limits", "bases", "contents", "workflows", "executions", "agents"),
)
"""What is shown to the tenant itself, and must be what it made."""
