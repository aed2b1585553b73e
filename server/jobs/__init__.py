"""Work that is done later, by whichever process has time for it: the binding to PgQueuer. Knows no slice.

A job is a lease and a wake-up. What it is about lies in the tables of the slice that asked for it, which are the
authority: a job may be run again, by another process, and what it does must bear that.

Fairness among tenants is not the queue's: a slice whose jobs are tenants' own keeps its backlog in its tables, and
enqueues no more of each than that tenant may have under way. No slice has such jobs yet: caps of a tenant's share come
with the first one that does.
"""
