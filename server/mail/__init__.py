"""Mail on its way out: over SMTP, or onto the developer's console. Not what is written in it, nor to whom."""
