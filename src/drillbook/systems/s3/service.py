"""The service kind `s3`, also used for the store of backups. Its model is in the SDK."""

from drillbook.sdk.service import S3 as S3  # noqa: PLC0414  the module of the kind must define it
