"""``dagster-taskiq worker start | list``, the predecessor's command line, as thin calls of ours."""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster_taskiq.client import TaskiqClient
from dagster_taskiq.config import api_settings
from dagster_taskiq.errors import TaskiqError
from dagster_taskiq.version import __version__

_COMMAND_VARIABLE = "DAGSTER_TASKIQ_WORKER_COMMAND"
_DEFAULT_COMMAND = "taskiq-aws worker start"
_EXIT_PROBLEM = 1
_EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, 1 when something cannot be done, 2 for a command line that is wrong."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except TaskiqError as error:
        print(error, file=sys.stderr)
        return _EXIT_PROBLEM


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dagster-taskiq", description="Workers of a taskiq-aws fleet that run Dagster steps.")
    parser.add_argument("--version", action="version", version=__version__)
    groups = parser.add_subparsers(required=True, metavar="worker")
    worker = groups.add_parser("worker", help="start a worker, list the workers").add_subparsers(required=True, metavar="start | list")

    start = worker.add_parser("start", help="run a worker until SIGTERM or Ctrl-C")
    start.add_argument("-n", "--name", help="its name in logs and in the list (TASKIQ_WORKER_NAME)")
    start.add_argument("-q", "--queue", action="append", help="poll only this queue; may be repeated (TASKIQ_WORKER_QUEUES)")
    start.add_argument("-y", "--config-yaml", type=Path, help="a YAML file with settings by their variables' names (TASKIQ_CONFIG)")
    start.add_argument("-d", "--background", action="store_true", help="return at once; the worker goes on without this terminal")
    start.add_argument("--log-file", type=Path, default=Path("dagster-taskiq-worker.log"), help="where a background worker writes")
    start.add_argument(
        "--command",
        default=os.environ.get(_COMMAND_VARIABLE) or _DEFAULT_COMMAND,
        help=f"what runs a worker here ({_COMMAND_VARIABLE}). Default: {_DEFAULT_COMMAND}",
    )
    start.set_defaults(run=start_worker)

    show = worker.add_parser("list", help="who is there, how busy, and who has fallen silent")
    show.add_argument("--url", help="where the API is. Default: TASKIQ_URL")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(run=list_workers)
    return parser


def start_worker(options: argparse.Namespace) -> int:
    """Becomes the worker; in the background, starts it and prints its process id."""
    argv = shlex.split(options.command)
    program = shutil.which(argv[0]) if argv else None
    if program is None:
        print(
            f"expected the program of {options.command!r} in PATH, there is none. Install taskiq-aws, or set {_COMMAND_VARIABLE}, "
            "for example to: node /app/runtime/cli.ts worker start",
            file=sys.stderr,
        )
        return _EXIT_USAGE
    if options.config_yaml is not None and not options.config_yaml.is_file():
        print(f"--config-yaml: expected a file, got {options.config_yaml}.", file=sys.stderr)
        return _EXIT_USAGE
    environment = {**os.environ, **_settings(options)}
    if not options.background:
        os.execve(program, argv, environment)
    with options.log_file.open("ab") as log:
        worker = subprocess.Popen([program, *argv[1:]], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    print(f"worker started in the background: process {worker.pid}, log {options.log_file}")
    return 0


def _settings(options: argparse.Namespace) -> Mapping[str, str]:
    # Commands are what steps are. Whoever set it to "off" in the environment or the file meant it.
    given: dict[str, str] = {}
    if options.name is not None:
        given["TASKIQ_WORKER_NAME"] = options.name
    if options.queue is not None:
        given["TASKIQ_WORKER_QUEUES"] = ",".join(options.queue)
    if options.config_yaml is not None:
        given["TASKIQ_CONFIG"] = str(options.config_yaml.resolve())
    elif not os.environ.get("TASKIQ_COMMANDS"):
        given["TASKIQ_COMMANDS"] = "on"
    return given


def list_workers(options: argparse.Namespace) -> int:
    """Prints the workers that the API knows, one a line."""
    workers = TaskiqClient(api_settings({"url": options.url, "retry_seconds": 5})).workers()
    if options.json:
        print(json.dumps(workers))
        return 0
    rows = [["STATE", "NAME", "RUNNING", "QUEUES", "VERSION", "HEARD"], *map(_row, workers)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _row(worker: Mapping[str, Any]) -> list[str]:
    return [
        worker["state"],
        worker["name"],
        f"{worker['running']} of {worker['slots']}",
        ",".join(worker["queues"]),
        worker["version"],
        worker["beat_at"],
    ]


if __name__ == "__main__":
    sys.exit(main())
