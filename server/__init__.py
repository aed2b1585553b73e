"""Atrium: the multi-tenant backend of an AI product, over gRPC."""

import os

# Nothing here goes on in a forked process: children are new programs. Where gRPC prepares for it all the same, it stops
# its threads whenever one is started, or says in the log that it could not. It reads this once, when it is first used.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
