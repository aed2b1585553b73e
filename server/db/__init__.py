"""The door to PostgreSQL: tables' base, statements, tenant-scoped transactions, notifications, months, migrations."""
