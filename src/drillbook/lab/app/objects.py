"""Client of the object store, and keys of objects, for the application and for the program that fills the lab."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

STORE_ERRORS: tuple[type[Exception], ...] = (BotoCoreError, ClientError)


def connect(endpoint: str, region: str, access_key: str, secret_key: str) -> Any:
    """Create an S3 client. The client has short timeouts, and ignores proxy settings."""
    config = Config(
        connect_timeout=0.5,
        read_timeout=5,
        retries={"max_attempts": 1, "mode": "standard"},
        proxies={},
        s3={"addressing_style": "path"},
        max_pool_connections=10,
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    )


def key(number: int) -> str:
    """Key under which the object store has the original file of document ``number``."""
    return f"originals/{number:08d}"
