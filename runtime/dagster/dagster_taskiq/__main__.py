"""``python -m dagster_taskiq``: see ``worker_process``."""

import gc
import sys

if __name__ == "__main__":
    # What is loaded stays: to look for garbage among it would take a fifth of the start. On again before user code, see ``worker_process._dagster``.
    gc.disable()
    from dagster_taskiq.worker_process import main

    sys.exit(main())
