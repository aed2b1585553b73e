"""The audit log: what changed, by whom, from where. Not what is worth telling: each slice says that of its own changes."""
