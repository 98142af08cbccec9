"""The service kind `s3`. The store of backups is also a service of this kind, so the model of the kind is in the SDK."""

from drillbook.sdk.service import S3 as S3  # noqa: PLC0414  the module of the kind must define it
