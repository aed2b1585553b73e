"""Stand-ins for what Atrium talks to: real servers on loopback, not patches."""
