"""The audit log: what changed, by whom, from where; written and shown here. What is worth telling, each slice says."""
