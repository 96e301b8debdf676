"""Every SQL statement of escalation: armed cases, open orders, notices, figures."""
