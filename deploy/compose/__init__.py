"""The stack of docker-compose.yml: its secrets, and what its containers read at their start."""
