"""Where the broker is and how to speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from shared.settings import Settings

WEATHER = (KafkaError, OSError, TimeoutError)
"""The broker is away or busy: try again later."""


def connection(settings: Settings) -> dict[str, Any]:
    """Where the broker is and how to speak to it: TLS and SASL as the settings say."""
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": protocol,
        "request_timeout_ms": settings.kafka_request_timeout_ms,
    }
    if protocol.endswith("SSL"):
        options["ssl_context"] = create_ssl_context(
            cafile=settings.kafka_ca_file,
            certfile=settings.kafka_cert_file,
            keyfile=settings.kafka_key_file,
        )
    if protocol.startswith("SASL"):
        password = settings.kafka_password
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    return options


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin connection."""
    client = AIOKafkaAdminClient(**connection(settings))
    try:
        await client.start()
        yield client
    finally:
        await client.close()
