"""What follows from a table by rule: row security, triggers, views and grants. Migrations take it from here as text."""

from __future__ import annotations

from sqlalchemy import Table

OWNER_ROLE = "atrium_owner"
SERVING_ROLE = "atrium_app"

INSERT_ONLY = frozenset(
    {
        "audit_checkpoints",
        "audit_logs",
        "model_call_logs",
        "model_prices",
        "prompt_template_versions",
        "tenant_model_prices",
        "workflow_versions",
    }
)
"""What the serving role adds to and reads, and never alters: the record of what happened, and of what was said.
Versions go with their template or workflow, and prices with a tenant's own model, by a cascade, which is the owner's;
of who made versions nothing is left once they are removed for good, by a function."""

READ_ONLY = frozenset({"permissions", "ddl_audit_logs"})
"""What migrations alone write."""

NOT_DELETED = frozenset({"tenants", "models", "signing_keys"})
"""What the serving role may not delete: tenants are purged over the owner's connection, the others never."""

DEFINER_FUNCTIONS = frozenset(
    {
        "atrium_find_tenant",
        "atrium_forget_author",
        "atrium_list_tenants",
        "atrium_log_ddl",
        "atrium_search_text",
        "atrium_tenants_at_work",
    }
)
"""The only functions that run with the rights of who made them, and so past row security."""


def row_security(table: Table) -> list[str]:
    """Row security and its one policy; nothing for a global table."""
    column = {"tenant": "tenant_id", "root": "id"}.get(table.info["scope"])
    if column is None:
        return []
    own = f"{column} = nullif(current_setting('app.tenant_id', true), '')::uuid"
    return [
        f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant_isolation ON {table.name} USING ({own}) WITH CHECK ({own})",
    ]


def triggers(table: Table) -> list[str]:
    """`updated_at` follows every change, `revision` every change of a column that the API can make, and a price that is
    changed is noted with the moment.
    """
    made = []
    if "updated_at" in table.c:
        same = " AND ".join(
            f"OLD.{name} {'IS NOT DISTINCT FROM' if table.c[name].nullable else '='} NEW.{name}"
            for name in table.info.get("counted", ())
        )
        when = f" WHEN ({same})" if same else ""
        made.append(
            f"CREATE TRIGGER touch BEFORE UPDATE ON {table.name} FOR EACH ROW{when} EXECUTE FUNCTION atrium_touch()"
        )
    if "revision" in table.c:
        changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in table.info["revised"])
        made.append(
            f"CREATE TRIGGER revise BEFORE UPDATE ON {table.name} FOR EACH ROW WHEN ({changed}) "
            "EXECUTE FUNCTION atrium_revise()"
        )
    if dated := table.info.get("dated"):
        made.append(
            f"CREATE TRIGGER price AFTER UPDATE OF {', '.join(dated)} ON {table.name} "
            "FOR EACH ROW EXECUTE FUNCTION atrium_date_price()"
        )
    return made


def views(table: Table) -> list[str]:
    """The live rows of a table with soft delete."""
    if "deleted_at" not in table.c:
        return []
    live = f"active_{table.name}"
    return [
        f"CREATE VIEW {live} WITH (security_invoker = true) AS SELECT * FROM {table.name} WHERE deleted_at IS NULL",
        f"COMMENT ON VIEW {live} IS 'The live rows of {table.name}.'",
        f"GRANT SELECT ON {live} TO {SERVING_ROLE}",
    ]


def grants(table: Table) -> list[str]:
    """What the serving role may do with the table. Partitions are reached through their parent alone."""
    verbs = ["SELECT"]
    if table.name not in READ_ONLY:
        verbs.append("INSERT")
        if table.name not in INSERT_ONLY:
            verbs.append("UPDATE")
            if table.name not in NOT_DELETED:
                verbs.append("DELETE")
    return [f"GRANT {', '.join(verbs)} ON {table.name} TO {SERVING_ROLE}"]


def all_rules(table: Table) -> list[str]:
    """Everything that follows from the table, in an order in which it can be run."""
    return [*row_security(table), *triggers(table), *views(table), *grants(table)]
