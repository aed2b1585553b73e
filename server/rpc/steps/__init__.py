"""The steps of a call, each a small class; `server.rpc.chain` sets their order."""
