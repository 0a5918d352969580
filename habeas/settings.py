"""Settings from the environment, prefix `HABEAS_`. A missing or wrong one is named, its value never shown."""

import ssl
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from habeas.contracts.errors import HabeasError

Loaded = TypeVar("Loaded", bound=BaseSettings)


class SettingsError(HabeasError):
    """The environment lacks a variable or holds one that cannot be used. The text names each."""


class KafkaSettings(BaseSettings):
    """How to reach Kafka, and as whom (`HABEAS_KAFKA_…`)."""

    model_config = SettingsConfigDict(
        env_prefix="HABEAS_KAFKA_", extra="ignore", hide_input_in_errors=True, frozen=True
    )

    bootstrap_servers: str = Field(min_length=1)
    """`host:port`, several with commas"""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """how Kafka's listener is protected"""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """how a client proves who it is"""
    sasl_username: str | None = None
    """the principal; needed with SASL"""
    sasl_password: SecretStr | None = None
    """its password; needed with SASL"""

    @model_validator(mode="after")
    def _credentials(self) -> "KafkaSettings":
        if self.security_protocol.startswith("SASL") and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError("HABEAS_KAFKA_SASL_USERNAME and HABEAS_KAFKA_SASL_PASSWORD are needed with SASL")
        return self

    def client_options(self) -> dict[str, Any]:
        """What every aiokafka client takes: producer, consumer and admin."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL") and self.sasl_password is not None:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.get_secret_value()
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context()
        return options


def load(settings: type[Loaded]) -> Loaded:
    """`settings` from the environment. Raises `SettingsError` with the variables to set."""
    prefix = settings.model_config.get("env_prefix", "")
    try:
        return settings()
    except ValidationError as error:
        findings = []
        for finding in error.errors(include_input=False, include_url=False):
            variable = f"{prefix}{'_'.join(map(str, finding['loc']))}".upper()
            match finding["type"], finding["loc"]:
                case _, ():
                    findings.append(finding["msg"].removeprefix("Value error, "))
                case "missing", _:
                    findings.append(f"set {variable}")
                case _:
                    findings.append(f"correct {variable}: {finding['msg']}")
        raise SettingsError("; ".join(findings)) from None
