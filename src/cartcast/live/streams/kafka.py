"""Kafka topics as source (consumer group) and sink, over librdkafka (extra `kafka`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from cartcast.errors import StorageError, UsageError
from cartcast.live.streams import Message, Row

__all__ = ["KafkaSink", "KafkaSource"]

logger = logging.getLogger(__name__)


def _library() -> Any:
    try:
        import confluent_kafka
    except ImportError as error:
        raise UsageError(
            "kafka:// needs confluent-kafka: pip install 'cartcast[kafka]'."
        ) from error
    return confluent_kafka


class KafkaSource:
    """Messages of a topic, read by a group; offsets are committed when the state is durable.

    Args:
        servers: `host:port,...`.
        topic: name of the topic; give it the visitor as the message key, so that a visitor's
            events stay in order in one partition.
        group: name of the group.
        settings: further settings of librdkafka.
    """

    ended = False

    def __init__(
        self, servers: str, topic: str, group: str, settings: dict[str, Any] | None = None
    ) -> None:
        self._settings = {
            "bootstrap.servers": servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **(settings or {}),
        }
        self._topic = topic
        self._consumer: Any = None

    async def open(self) -> None:
        """Join the group."""
        self._consumer = _library().Consumer(self._settings)
        self._consumer.subscribe([self._topic])

    async def read(self, most: int, seconds: float) -> list[Message]:
        """Return messages in the order of their partitions."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(None, self._consumer.consume, most, seconds)
        messages = []
        for message in found:
            error = message.error()
            if error is not None:
                if error.fatal():
                    raise StorageError(f"Kafka: {error.str()}.")
                logger.warning("Kafka: %s", error.str())
                continue
            place = f"{message.topic()}:{message.partition()}:{message.offset()}"
            messages.append(Message(place, message.value() or b""))
        return messages

    async def commit(self, messages: Sequence[Message]) -> None:
        """Commit, for each partition, the offset after the last of the messages."""
        library = _library()
        reached: dict[tuple[str, int], int] = {}
        for message in messages:
            topic, partition, offset = message.id.rsplit(":", 2)
            key = (topic, int(partition))
            reached[key] = max(reached.get(key, 0), int(offset) + 1)
        offsets = [library.TopicPartition(t, p, o) for (t, p), o in reached.items()]
        if not offsets:
            return

        def commit() -> None:
            self._consumer.commit(offsets=offsets, asynchronous=False)

        try:
            await asyncio.get_running_loop().run_in_executor(None, commit)
        except library.KafkaException as error:
            # The partition went to another member: it reads the messages again, and the state
            # tells them as repeats.
            logger.warning("Kafka: offsets not committed: %s", error.args[0])

    async def close(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._consumer.close)


class KafkaSink:
    """Messages of a topic with the row's key as key: a compacted topic keeps one of each."""

    def __init__(self, servers: str, topic: str, settings: dict[str, Any] | None = None) -> None:
        self._settings = {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "linger.ms": 5,
            **(settings or {}),
        }
        self._topic = topic
        self._producer: Any = None

    async def open(self) -> None:
        """Make the producer."""
        self._producer = _library().Producer(self._settings)

    async def write(self, rows: Sequence[Row]) -> None:
        """Write the rows; returns when the brokers have them.

        Raises:
            StorageError: they were not delivered.
        """
        failed: list[str] = []

        def delivered(error: Any, _: Any) -> None:
            if error is not None:
                failed.append(error.str())

        def produce() -> int:
            for row in rows:
                value = msgspec.json.encode({"key": row.key, **row.value})
                while True:
                    try:
                        self._producer.produce(self._topic, value, row.key, on_delivery=delivered)
                        break
                    except BufferError:
                        self._producer.poll(0.1)
            return int(self._producer.flush(30.0))

        left = await asyncio.get_running_loop().run_in_executor(None, produce)
        if failed or left:
            reason = failed[0] if failed else f"{left} messages not delivered in 30 s"
            raise StorageError(f"Kafka: results were not delivered to {self._topic}: {reason}.")

    async def close(self) -> None:
        """Deliver what is left."""
        if self._producer is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._producer.flush, 10.0)
