"""The contract as an AsyncAPI 3.0 document: a channel per topic, who sends, who receives.

    python -m shared.contract    writes shared/asyncapi.json

Rendered from `shared.events`; a test compares the file with the code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
from pydantic.json_schema import models_json_schema

from shared.events import OWNERS, Data, Topic, types_of
from shared.kafka import PARTITIONS, TOPIC_SETTINGS

FILE = Path(__file__).with_name("asyncapi.json")
JsonObject = dict[str, Any]

LISTENERS: dict[Topic, tuple[str, ...]] = {
    Topic.INTAKE: ("router",),
    Topic.ROUTER: ("intake", "escalation", "analytics"),
    Topic.ESCALATION: ("router",),
    Topic.ANALYTICS: ("router",),
    Topic.POLICY: ("intake",),
}

DIGITS = {"type": "string", "pattern": "^[0-9]+$"}
HEADERS: JsonObject = {
    "type": "object",
    "description": "CloudEvents 1.0, binary mode; header values are UTF-8 text.",
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {
            "type": "string",
            "format": "uuid",
            "description": "derived from the cause: the same cause gives the same id",
        },
        "ce_source": {"type": "string", "description": "who says it"},
        "ce_type": {"type": "string", "description": "the versioned type, as in the value"},
        "ce_time": {
            "type": "string",
            "format": "date-time",
            "description": "when it happened, in promise time, with its offset from UTC",
        },
        "content-type": {"const": "application/json"},
        "ce_epoch": DIGITS | {"description": "raised when the owner's database was restored"},
        "ce_seq": DIGITS | {"description": "gapless per subject and owner within an epoch"},
        "ce_causedby": {"type": "string", "description": "the event or command that caused it"},
        "ce_clock": {"type": "string", "description": "which promise clock stamped it"},
        "traceparent": {"type": "string", "description": "W3C trace context"},
    },
    "required": [
        "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type",
        "ce_epoch", "ce_seq", "ce_causedby", "ce_clock",
    ],
}  # fmt: skip
KEY = {
    "type": "string",
    "description": "The subject; for a petition and its case the same UUIDv7.",
}


def reference(*path: str) -> JsonObject:
    """A reference to a place in this document."""
    return {"$ref": "#/" + "/".join(path)}


def channel(topic: Topic) -> JsonObject:
    """A topic: how it is kept, and the messages on it."""
    return {
        "address": topic.value,
        "messages": {name: reference("components", "messages", name) for name in types_on(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.value,
                "partitions": PARTITIONS[topic],
                "topicConfiguration": {
                    "cleanup.policy": [TOPIC_SETTINGS[topic]["cleanup.policy"]],
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def types_on(topic: Topic) -> list[str]:
    """The versioned type names that a topic carries."""
    _, models = OWNERS[topic]
    return [name for model in models for name in types_of(model)]


def message(name: str, model: type[Data]) -> JsonObject:
    """One versioned type: its headers, its key, its value."""
    payload = reference("components", "schemas", model.__name__)
    if len(types_of(model)) > 1:
        payload = {"allOf": [payload, {"properties": {"type": {"const": name}}}]}
    return {
        "name": name,
        "summary": (model.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "headers": reference("components", "schemas", "Headers"),
        "payload": payload,
        "bindings": {"kafka": {"key": KEY, "bindingVersion": "0.5.0"}},
    }


def operations() -> JsonObject:
    """Who sends on each topic, and who receives from it."""
    rendered: JsonObject = {}
    for topic, (owner, _) in OWNERS.items():
        there = reference("channels", topic.value)
        rendered[f"{owner}.send.{topic.value}"] = {"action": "send", "channel": there}
        for listener in LISTENERS[topic]:
            name = f"{listener}.receive.{topic.value}"
            rendered[name] = {"action": "receive", "channel": there}
    return rendered


def document() -> JsonObject:
    """The whole contract."""
    models = [model for _, said in OWNERS.values() for model in said]
    _, schemas = models_json_schema(
        [(model, "validation") for model in models],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Casegrid events",
            "version": "1",
            "description": "What Casegrid's services say to each other on Kafka. Readers ignore"
            " fields they do not know; a type that changes otherwise gets a new version.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.value: channel(topic) for topic in OWNERS},
        "operations": operations(),
        "components": {
            "messages": {
                name: message(name, model) for model in models for name in types_of(model)
            },
            "schemas": {"Headers": HEADERS} | schemas["$defs"],
        },
    }


def render() -> str:
    """The contract as the file holds it."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2).decode() + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(render())
    sys.stdout.write(f"{FILE}\n")


if __name__ == "__main__":
    main()
