"""The service kind `s3`, which is that of the store of backups: its model lives in the SDK."""

from drillbook.sdk.service import S3 as S3  # noqa: PLC0414  declared here
