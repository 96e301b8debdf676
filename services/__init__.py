"""The four services. They never import each other: they meet in `shared.events` and on Kafka."""
