"""What the environment decides: where Kafka and PostgreSQL are, ports, the clock, limits.

Every name is `CASEGRID_` and the field in capitals: `CASEGRID_DATABASE_URL`, and so on. A service
started by hand against an external Kafka or PostgreSQL needs nothing else.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import failpoints
from shared.clock import Clock


class Settings(BaseSettings):
    """The settings of one process of one service."""

    model_config = SettingsConfigDict(env_prefix="CASEGRID_", frozen=True, extra="ignore")

    database_url: SecretStr = Field(description="this service's own PostgreSQL database, as a URL")
    database_pool: int = Field(default=10, ge=2, le=200, description="connections of one process")
    lock_timeout_ms: int = Field(
        default=5_000, ge=100, description="a lock not had by then is weather"
    )

    kafka_bootstrap: str = Field(default="127.0.0.1:9092", description="host:port, comma-separated")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: str | None = Field(default=None, description="PEM of the authority to trust")
    kafka_cert_file: str | None = None
    kafka_key_file: str | None = None
    kafka_replication: int = Field(default=1, ge=1, description="3 in production")
    kafka_min_insync: int = Field(default=1, ge=1, description="2 in production")
    kafka_request_timeout_ms: int = Field(default=10_000, ge=1_000)
    topic_prefix: str = Field(default="", pattern=r"^[a-z0-9.-]*$")

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    reuse_port: bool = Field(
        default=False, description="several processes of a service share its port (Linux)"
    )
    operations_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="/livez, /startupz, /readyz and /metrics of this process alone, from its first"
        " moment on; without it they are on the service's port only, once the database answered",
    )
    drain_seconds: float = Field(
        default=2.0,
        ge=0,
        le=8,
        description="after SIGTERM: so long open connections are told to close before they are",
    )
    max_body_bytes: int = Field(default=256 * 1024, ge=1024, description="larger bodies are 413")
    accept_queue: int = Field(default=4_000, ge=1, description="petitions waiting for a commit")
    accept_wait_seconds: float = Field(
        default=1.0, gt=0, description="whoever would wait longer for a commit is refused (503)"
    )
    unread_limit: int = Field(
        default=100_000, ge=1, description="so many petitions unread: new ones are refused (503)"
    )
    outbox_limit: int = Field(
        default=1_000_000, ge=1, description="so many events unsaid: new petitions are refused"
    )
    sender_header: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="where your own proxy writes the client's address (its last entry counts);"
        " only behind a proxy that always sets it, for else anybody may write it",
    )

    push_file: Path | None = Field(
        default=None, description="escalation appends each notice to this file, as a line of JSON"
    )
    push_url: HttpUrl | None = Field(
        default=None, description="escalation posts each notice to this URL; not with a push_file"
    )
    push_token: SecretStr | None = Field(
        default=None, description="what is shown there: Authorization: Bearer …"
    )
    push_timeout_seconds: float = Field(default=5.0, gt=0, le=60, description="of each call there")

    clock_speed: float = Field(default=1.0, gt=0, description="promise seconds per second")
    clock_base: datetime | None = None
    clock_base_utc: datetime | None = None

    token_secret: SecretStr | None = Field(
        default=None,
        description="key of the development issuer (HS256); without it no token is taken",
    )
    fail_at: str | None = Field(
        default=None, description="for fault tests: [service.]point[:times], see failpoints.py"
    )
    census: bool = Field(
        default=True, description="count and compare; off while two versions run side by side"
    )
    heartbeat_seconds: float = Field(
        default=30.0, ge=0, description="between two heartbeats; 0: none, as with two versions"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="at the start; SIGUSR1 makes it say more, SIGUSR2 less"
    )
    otlp_endpoint: HttpUrl | None = Field(
        default=None,
        description="spans go there by OTLP over HTTP (with the extra `traces`); without it none"
        " are recorded",
    )

    @field_validator("token_secret")
    @classmethod
    def long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        """HS256 wants a key of at least 32 bytes (RFC 7518, 3.2)."""
        if secret is not None and len(secret.get_secret_value().encode()) < 32:
            raise ValueError("CASEGRID_TOKEN_SECRET needs at least 32 bytes")
        return secret

    @field_validator("fail_at")
    @classmethod
    def there_is_such_a_point(cls, text: str | None) -> str | None:
        """An unknown failpoint would never be passed, and so show nothing."""
        if text:
            failpoints.plan_of(text)
        return text

    @model_validator(mode="after")
    def each_can_be_asked(self) -> Self:
        """Of several processes on one port nobody knows which one answers."""
        if self.reuse_port and self.operations_port is None:
            raise ValueError(
                "CASEGRID_REUSE_PORT needs a CASEGRID_OPERATIONS_PORT for each process"
            )
        return self

    @model_validator(mode="after")
    def one_way_out(self) -> Self:
        """A notice is pushed by one way: whether it got out has one answer."""
        if self.push_file is not None and self.push_url is not None:
            raise ValueError("set CASEGRID_PUSH_FILE or CASEGRID_PUSH_URL, not both")
        return self

    def clock(self) -> Clock:
        """The clock of promises that all services of this stack share."""
        return Clock(self.clock_speed, self.clock_base, self.clock_base_utc)
