"""Where the processor is, and the key to it."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProcessorSettings(BaseSettings):
    """`HABEAS_PROCESSOR_URL` and `HABEAS_PROCESSOR_KEY`; the default key opens the demonstration's processor alone."""

    model_config = SettingsConfigDict(env_prefix="HABEAS_PROCESSOR_", extra="ignore", frozen=True)

    url: str
    """where the payment processor's API is"""
    key: SecretStr = SecretStr("sk_demonstration")
    """the key to it"""


class ServerSettings(BaseSettings):
    """What the demonstration's processor itself needs."""

    model_config = SettingsConfigDict(env_prefix="HABEAS_", extra="ignore", frozen=True)

    http_port: int = 8080
    processor_key: SecretStr = SecretStr("sk_demonstration")
