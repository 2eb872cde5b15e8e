"""``python -m dagster_taskiq``: see ``worker_process``."""

import sys

from dagster_taskiq.worker_process import main

if __name__ == "__main__":
    sys.exit(main())
