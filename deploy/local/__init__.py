"""The embedded stack: PostgreSQL, Kafka and the four services from one command."""
