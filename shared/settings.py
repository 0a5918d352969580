"""What every service is told by its environment (`HABEAS_*`)."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClockSettings(BaseSettings):
    """Whose clock it is: the system's, except in a local stack whose clock can be advanced."""

    model_config = SettingsConfigDict(env_prefix="HABEAS_", extra="ignore", hide_input_in_errors=True, frozen=True)

    clock_offset_file: Path | None = Field(
        None,
        description="how far a local stack's clock is ahead, in seconds (`habeas clock`); leave it unset elsewhere",
    )


class ServiceSettings(BaseSettings):
    """The settings that all four services share; Kafka's own are `habeas.settings.KafkaSettings`."""

    model_config = SettingsConfigDict(env_prefix="HABEAS_", extra="ignore", hide_input_in_errors=True, frozen=True)

    database_url: str = Field(repr=False, description="postgresql://role:password@host:port/database")
    registry: Path = Field(description="the registry's TOML file")
    keys: Path = Field(description="this service's key file, a JWK Set")
    http_host: str = Field("127.0.0.1", description="address that health and metrics answer on")
    http_port: int = Field(0, ge=0, le=65535, description="their port; 0 takes a free one and logs it")
    batch_records: int = Field(
        1000, ge=1, le=5000, description="records taken from Kafka at a time, at most; large ones are fewer"
    )
    pause_after: int = Field(
        100, ge=1, description="undecodable records in a row after which their partition is paused (`habeas topics`)"
    )
    graceful_seconds: float = Field(20, gt=0, description="how long a stop waits for the batch in hand; seconds")
