"""`casegrid topics`: Kafka's topics against the code, and what to do about each difference."""

from __future__ import annotations

import typer

from shared import kafka
from shared.command import console, read_settings, run
from shared.kafka import TopicDiffers
from shared.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Kafka's topics against the code.")


def broker() -> Settings:
    """How to reach Kafka; no database is asked."""
    return read_settings(database_url="postgresql:///")


@app.command("check")
def check() -> None:
    """Every topic: partitions, retention, compaction, how many brokers keep it, what is in step.

    CASEGRID_KAFKA_REPLICATION and CASEGRID_KAFKA_MIN_INSYNC say how many brokers are wanted (3 and
    2 in production). Nothing is changed. Ends with 0 when all is as the code says, else with 1;
    each difference is told with what to do about it.

    Example: CASEGRID_KAFKA_REPLICATION=3 CASEGRID_KAFKA_MIN_INSYNC=2 casegrid topics check
    """
    settings = broker()
    differs = [*run(kafka.check_topics(settings)), *run(kafka.check_safety(settings))]
    for one in differs:
        console.print(f"{one}\n    {advice(one, settings.kafka_bootstrap)}", markup=False,
                      highlight=False, soft_wrap=True)  # fmt: skip
    if differs:
        raise typer.Exit(1)
    console.print(f"all {len(kafka.PARTITIONS)} topics are as the code says")


@app.command("create")
def create() -> None:
    """Create the topics that are missing, as the code says. One that exists is never changed."""
    created = run(kafka.create_topics(broker()))
    for name in created:
        console.print(f"created {name}")
    if not created:
        console.print("no topic is missing")


def advice(differs: TopicDiffers, bootstrap: str) -> str:
    """What a person can do about it."""
    match differs.what, differs.found:
        case "partitions", "missing":
            return "make it: casegrid topics create"
        case "partitions", _:
            return (
                "never alter the number: what is said of a case would move to another partition,"
                " out of order. Where nothing was said yet, delete the topic and create it; else"
                " it needs another CASEGRID_TOPIC_PREFIX, or the broker's own backup."
            )
        case kafka.REPLICAS, _:
            return (
                "give each partition more brokers: kafka-reassign-partitions.sh --bootstrap-server"
                f" {bootstrap} (or the replicas of the KafkaTopic, under Strimzi)"
            )
        case kafka.IN_STEP, _:
            return "a broker is away or behind: look at its log; nothing to change here"
        case name, _:
            return (
                f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics"
                f" --entity-name {differs.topic} --add-config {name}={differs.wanted}"
                " (or the config of the KafkaTopic, under Strimzi)"
            )
