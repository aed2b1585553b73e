"""Work that is done later, by whichever process has time for it: the binding to PgQueuer. Knows no slice.

A job is a lease and a wake-up. What it is about lies in the tables of the slice that asked for it, which are the
authority: a job may be run again, by another process, and what it does must bear that.

The queue serves whoever comes first. So jobs that are a tenant's own wait in a backlog of the tenant's, and no more of
them than its share are in the queue: however many one tenant asks for, another's next job is soon begun.
"""
