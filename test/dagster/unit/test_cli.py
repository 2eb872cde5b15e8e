"""`dagster-taskiq worker start | list`."""

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import StubApi

from dagster_taskiq.cli import main

WORKER = {"state": "alive", "name": "w-1", "running": 2, "slots": 10, "queues": ["default", "runs"], "version": "0.1.0", "beat_at": "2026-01-01T00:00:00Z"}


def test_list_prints_the_workers_that_the_api_knows(api: StubApi, capsys: pytest.CaptureFixture[str]):
    api.script((200, {"workers": [WORKER]}))
    assert main(["worker", "list", "--url", api.url]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["STATE", "NAME", "RUNNING", "QUEUES", "VERSION", "HEARD"]
    assert line.split() == ["alive", "w-1", "2", "of", "10", "default,runs", "0.1.0", "2026-01-01T00:00:00Z"]
    assert main(["worker", "list", "--url", api.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [WORKER]


def test_list_says_what_is_wrong(api: StubApi, capsys: pytest.CaptureFixture[str]):
    api.script((401, {"code": "key_missing", "detail": "no key"}))
    assert main(["worker", "list", "--url", api.url]) == 1
    assert "TASKIQ_API_KEY" in capsys.readouterr().err


def test_start_becomes_the_worker_with_its_name_queues_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "worker.yaml"
    file.write_text("TASKIQ_WORKER_SLOTS: 2\n")
    became: list = []

    def become(*given: object) -> None:
        became.append(given)
        # It never returns.
        raise SystemExit(0)

    monkeypatch.setattr("os.execve", become)
    monkeypatch.delenv("TASKIQ_COMMANDS", raising=False)
    with pytest.raises(SystemExit):
        main(["worker", "start", "-n", "w-1", "-q", "default", "-q", "runs", "-y", str(file), "--command", f"{sys.executable} -V"])
    program, argv, env = became[0]
    assert (program, argv) == (sys.executable, [sys.executable, "-V"])
    assert (env["TASKIQ_WORKER_NAME"], env["TASKIQ_WORKER_QUEUES"], env["TASKIQ_CONFIG"]) == ("w-1", "default,runs", str(file))
    assert "TASKIQ_COMMANDS" not in env, "the file may say"


def test_start_in_the_background_returns_and_writes_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TASKIQ_COMMANDS", raising=False)
    log = tmp_path / "log"
    code = "import os; print(os.environ['TASKIQ_COMMANDS'], os.environ['TASKIQ_WORKER_NAME'])"
    command = f'{sys.executable} -c "{code}"'
    assert main(["worker", "start", "-d", "-n", "w-2", "--log-file", str(log), "--command", command]) == 0
    pid = int(capsys.readouterr().out.split("process ")[1].split(",")[0])
    os.waitpid(pid, 0)
    assert log.read_text() == "on w-2\n"


def test_start_without_a_program_or_with_a_file_that_is_none_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["worker", "start", "--command", "no-such-program worker start"]) == 2
    assert "DAGSTER_TASKIQ_WORKER_COMMAND" in capsys.readouterr().err
    assert main(["worker", "start", "-y", str(tmp_path / "none.yaml"), "--command", sys.executable]) == 2
    assert "expected a file" in capsys.readouterr().err
