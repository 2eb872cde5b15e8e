"""Where the emulated SQS and S3 are, and a broker there: from the environment that the test sets."""

import os
from typing import Any

from taskiq_aio_sqs import S3Backend, SQSBroker


def make_broker(**options: Any) -> SQSBroker:
    aws = {
        "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
        "region_name": os.environ["AWS_REGION"],
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
    }
    bucket = os.environ["INTEROP_BUCKET"]
    results = S3Backend(bucket, base_path=os.environ["INTEROP_BASE_PATH"], **aws)
    broker = SQSBroker(os.environ["INTEROP_QUEUE"], s3_extended_bucket_name=bucket, **aws, **options)
    return broker.with_result_backend(results)
