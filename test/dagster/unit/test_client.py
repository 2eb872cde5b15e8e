"""The client of the API: what is repeated, what is told, what is never followed."""

import pytest
from conftest import StubApi, Time, task_answer

from dagster_taskiq.client import TaskiqClient
from dagster_taskiq.config import ApiSettings
from dagster_taskiq.errors import TaskiqApiError, TaskiqUnreachableError

ID = "01994a10-0000-7000-8000-000000000001"
ACCEPTED = (202, {"task_id": ID, "state": "queued"})


def test_submits_with_its_key_and_idempotency_key(api: StubApi, client: TaskiqClient):
    api.script(ACCEPTED)
    assert client.submit({"task": "command"}, idempotency_key="k-1") == ID
    (asked,) = api.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/tasks", {"task": "command"})
    assert asked.headers["authorization"] == "Bearer tq_test"
    assert asked.headers["idempotency-key"] == "k-1"


def test_repeats_with_the_same_idempotency_key_what_got_no_answer_or_a_later(api: StubApi, client: TaskiqClient, clock: Time):
    api.script(None, (503, {"code": "draining"}, {"retry-after": "2"}), (502, b"<html>"), ACCEPTED)
    assert client.submit({"task": "command"}, idempotency_key="k-1") == ID
    assert [one.headers["idempotency-key"] for one in api.asked] == ["k-1"] * 4
    assert clock.pauses[1] >= 2


def test_gives_up_when_its_time_is_over_and_says_where_it_asked(api: StubApi, client: TaskiqClient, clock: Time):
    api.script((503, {"code": "database_unavailable", "detail": "The database cannot be reached."}))
    with pytest.raises(TaskiqUnreachableError, match=r"/v1/tasks.*within 60 s, got .*database_unavailable.*TASKIQ_URL"):
        client.submit({}, idempotency_key="k")
    assert 30 < clock.now_seconds <= 60


def test_does_not_repeat_what_was_refused_and_tells_why(api: StubApi, client: TaskiqClient):
    issue = {"path": "queue", "message": "expected a configured queue"}
    api.script((422, {"code": "unknown_queue", "detail": "No such queue.", "issues": [issue]}))
    with pytest.raises(TaskiqApiError, match=r"422 unknown_queue: No such queue\.; queue: expected a configured queue") as raised:
        client.submit({}, idempotency_key="k")
    assert raised.value.code == "unknown_queue"
    assert len(api.asked) == 1


def test_says_which_key_is_needed(api: StubApi, client: TaskiqClient):
    api.script((403, {"code": "scope_missing", "detail": "no"}))
    with pytest.raises(TaskiqApiError, match="scopes enqueue, read, operate and command"):
        client.submit({}, idempotency_key="k")


def test_follows_no_redirect_so_that_the_key_goes_nowhere_else(api: StubApi, client: TaskiqClient):
    api.script((307, b"", {"location": f"{api.url}/elsewhere"}))
    with pytest.raises(TaskiqApiError):
        client.get(ID)
    assert len(api.asked) == 1


def test_an_answer_that_is_no_json_asks_whether_the_address_is_right(api: StubApi, client: TaskiqClient):
    api.script((200, b"<html>hello</html>"))
    with pytest.raises(TaskiqApiError, match="Is url"):
        client.get(ID)


def test_a_task_that_is_not_there_is_none(api: StubApi, client: TaskiqClient):
    api.script((404, {"code": "task_not_found"}))
    assert client.get(ID) is None
    assert client.cancel(ID, reason="r") is None


def test_shows_state_worker_and_error(api: StubApi, client: TaskiqClient):
    api.script((200, task_answer(state="failed", worker="w", error={"code": "lease_lost", "type": "T", "message": "gone"})))
    task = client.get(ID)
    assert task is not None and task.is_over
    assert (task.worker, task.error_code, task.error_message) == ("w", "lease_lost", "gone")


def test_finds_by_all_labels_over_pages_also_empty_ones(api: StubApi, client: TaskiqClient):
    api.script((200, {"tasks": [], "next_cursor": "c1"}), (200, {"tasks": [task_answer()], "next_cursor": None}))
    assert [task.id for task in client.find({"a": "1", "b": "x=y"})] == [ID]
    assert [one.query["label"] for one in api.asked] == [["a=1", "b=x=y"]] * 2
    assert api.asked[1].query["cursor"] == ["c1"]


def test_cancels_what_matches_after_a_count_and_again_until_nothing_is_left(api: StubApi, client: TaskiqClient):
    counted = {"changed": 0, "stopping": 0, "unchanged": 0, "as_of": "2026-01-01T00:00:00Z"}
    api.script(
        (200, {**counted, "matched": 3, "remaining": 3}),
        (409, {"code": "count_changed"}),
        (200, {**counted, "matched": 4, "remaining": 4}),
        (200, {**counted, "matched": 4, "changed": 2, "stopping": 1, "remaining": 1}),
        (200, {**counted, "matched": 1, "remaining": 1}),
        (200, {**counted, "matched": 1, "changed": 1, "remaining": 0}),
    )
    assert client.cancel_matching({"dagster/run_id": "r"}, reason="why") == 4
    assert [one.body.get("confirm") for one in api.asked] == [None, 3, None, 4, None, 1]
    assert all(one.body["filter"] == {"label": ["dagster/run_id=r"]} for one in api.asked)


def test_ignores_the_proxies_and_netrc_of_the_machine(api: StubApi, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    api.script((200, task_answer()))
    assert TaskiqClient(ApiSettings(api.url, retry_seconds=0)).get(ID) is not None
