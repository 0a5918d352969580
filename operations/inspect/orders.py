"""Commands to the services: published, and the decision on them awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from aiokafka import AIOKafkaConsumer
from pydantic import ValidationError

from habeas.contracts.catalogue import read, write
from habeas.contracts.cloudevents import decode, encode
from habeas.contracts.command import CommandDecided, Order
from habeas.contracts.errors import ContractError, invalid
from habeas.contracts.topics import COMMANDS, DECISIONS
from operations.errors import OperationsError, UsageError
from operations.inspect.kafka import bounds, reading, writing
from operations.topology import OPERATORS
from shared.clock import Clock

OrderType = TypeVar("OrderType", bound=Order)


class UndecidedError(OperationsError):
    """The services have not decided in time; the command stands and will be decided."""

    def __init__(self, order: Order, waited: float) -> None:
        self.order = order
        super().__init__(
            f"No decision within {waited:g} s. The command is published and will be decided once the services are up "
            f"(`habeas ps`). To go on waiting, give the same command again with --command-id {order.command_id}: the "
            "same id is the same order, carried out once."
        )


def make(model: type[OrderType], members: Mapping[str, Any]) -> OrderType:
    """The command. Raises UsageError for what the contract does not allow."""
    try:
        return model.model_validate(members)
    except ValidationError as error:
        finding = invalid(error)
    option = finding.pointer.removeprefix("/").replace("_", "-")
    if option == "reason":
        raise UsageError("reason cannot be that: it is a word such as identity_checked_by_phone, not a sentence.")
    raise UsageError(f"{option} cannot be that: it {finding.detail}.")


async def give(
    order: Order, environment: Mapping[str, str], *, clock: Clock, patience: float, repeated: bool
) -> CommandDecided:
    """Publish it and wait for the decision, `patience` seconds at most. A `repeated` one may be decided already.

    Raises UndecidedError; OperationsError and EnvironmentFaultError on Kafka's account.
    """
    async with reading(environment, DECISIONS) as consumer:
        start, end = await bounds(consumer)
        for partition, offset in (start if repeated else end).items():
            consumer.seek(partition, offset)
        event = write(order, subject=order.request_id, source=OPERATORS, now=clock())
        key, value, headers = encode(event)
        async with writing(environment) as producer:
            await producer.send_and_wait(COMMANDS, value, key=key, headers=headers)
        try:
            async with asyncio.timeout(patience):
                return await _decision(consumer, order.command_id, key)
        except TimeoutError:
            raise UndecidedError(order, patience) from None


async def _decision(consumer: AIOKafkaConsumer, command_id: UUID, key: bytes) -> CommandDecided:
    while True:
        record = await consumer.getone()
        if record.key != key:
            continue
        try:
            decided = read(decode(record.key, record.value, record.headers), CommandDecided)
        except ContractError:  # not ours to mend, and not what we wait for
            continue
        if decided.command_id == command_id:
            return decided
