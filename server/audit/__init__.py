"""The audit log: what changed, by whom, from where. Not what is worth telling: that each slice says of its own."""
