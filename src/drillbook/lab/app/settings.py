"""Settings of the API, read from its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from drillbook.lab.app.switches import Switches

REQUIRED = (
    "API_PORT",
    "DATABASE_URL",
    "REDIS_URL",
    "S3_ENDPOINT",
    "S3_REGION",
    "S3_BUCKET",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
)


class SettingsError(Exception):
    """Raised when required environment variables are missing. The message contains their names."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the API."""

    host: str
    port: int
    database_url: str
    pool_size: int
    redis_url: str
    s3_endpoint: str
    s3_region: str
    s3_bucket: str
    s3_access_key: str
    s3_secret_key: str
    switches: Switches
    health_within: float = 0.9
    """Time limit in seconds for each dependency in a health check."""
    workers: int = 1
    """Number of serving processes."""

    @classmethod
    def load(cls) -> Settings:
        """Read the settings from the environment. Raises SettingsError with the names of all missing variables."""
        missing = [name for name in REQUIRED if not os.environ.get(name)]
        if missing:
            raise SettingsError(f"missing environment variables: {', '.join(missing)} (see api.env.template)")
        env = os.environ
        return cls(
            env.get("API_HOST", "127.0.0.1"),
            int(env["API_PORT"]),
            env["DATABASE_URL"],
            int(env.get("DATABASE_POOL_SIZE", "10")),
            env["REDIS_URL"],
            env["S3_ENDPOINT"],
            env["S3_REGION"],
            env["S3_BUCKET"],
            env["S3_ACCESS_KEY"],
            env["S3_SECRET_KEY"],
            Switches.of(env),
            float(env.get("API_HEALTH_WITHIN", "0.9")),
            max(1, int(env.get("API_WORKERS", "1"))),
        )
