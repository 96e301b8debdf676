"""Batches out: one per lane at once, and which were acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from shared.kafka.connection import WEATHER, connection
from shared.kafka.records import Lane, Message
from shared.settings import Settings

BATCH_BYTES = 900_000  # under the broker's default limit of 1 MiB for a batch


class Unknown(Exception):
    """No answer came in time: the batch may have been written, or may not."""


class Sender:
    """Sends one batch per lane at once and says which were acknowledged.

    Not idempotent on purpose: an idempotent aiokafka producer never lets a batch expire, so with
    the broker gone its sends and its stop hang for ever.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.producer: AIOKafkaProducer | None = None

    async def started(self) -> AIOKafkaProducer:
        """The producer; a new one after an unknown answer."""
        if self.producer is None:
            producer = AIOKafkaProducer(
                **connection(self.settings),
                acks="all",
                enable_idempotence=False,
                compression_type="lz4",
                max_batch_size=BATCH_BYTES,
                linger_ms=0,
            )
            self.producer = producer
            try:
                await producer.start()
            except BaseException:
                await self.drop()
                raise
        return self.producer

    async def drop(self) -> None:
        """Forget the producer; bounded, also with the broker dead."""
        producer, self.producer = self.producer, None
        if producer is not None:
            with suppress(*WEATHER):
                async with asyncio.timeout(5):
                    await producer.stop()

    async def send(
        self, lanes: Mapping[Lane, Sequence[Message]]
    ) -> tuple[dict[Lane, int], dict[Lane, str]]:
        """Send what fits into one batch per lane.

        Returns how many of each lane were acknowledged, and why a lane was refused for good.
        Raises `Unknown` when any answer is missing: nothing may be concluded then.
        """
        try:
            producer = await self.started()
            async with asyncio.timeout(self.settings.kafka_request_timeout_ms / 1000 * 2):
                counts: dict[Lane, int] = {}
                futures: dict[Lane, Awaitable[object]] = {}
                for lane, messages in lanes.items():
                    batch = producer.create_batch()
                    for message in messages:
                        if (
                            batch.append(
                                timestamp=None,
                                key=message.key,
                                value=message.value,
                                headers=message.headers,
                            )
                            is None
                        ):
                            break
                    counts[lane] = batch.record_count()
                    name = self.settings.topic_prefix + lane[0]
                    futures[lane] = await producer.send_batch(batch, name, partition=lane[1])
                answers = await asyncio.gather(*futures.values(), return_exceptions=True)
        except WEATHER as lost:
            await self.drop()
            raise Unknown(type(lost).__name__) from lost
        refused: dict[Lane, str] = {}
        for lane, answer in zip(futures, answers, strict=True):
            if isinstance(answer, MessageSizeTooLargeError):
                refused[lane] = type(answer).__name__
                del counts[lane]
            elif isinstance(answer, BaseException):
                await self.drop()
                raise Unknown(type(answer).__name__) from answer
        return counts, refused
