"""The contract that portals and teams rely on: messages, envelope, sealing, names of topics."""

from habeas.contracts.base import Message, Model, PersonalModel
from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.errors import ContractError, HabeasError, KeyUnknownError, Reason
from habeas.contracts.sealing import KeyFile, Keyring, Place

__all__ = [
    "CloudEvent",
    "ContractError",
    "HabeasError",
    "KeyFile",
    "KeyUnknownError",
    "Keyring",
    "Message",
    "Model",
    "PersonalModel",
    "Place",
    "Reason",
]
