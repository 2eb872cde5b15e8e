"""What a run's events come to, for comparing executors: per step, in order, without those of the machinery."""

import json

import dagster as dg
from dagster import DagsterEventType as T

RUN_EVENTS = {T.PIPELINE_START, T.PIPELINE_SUCCESS, T.PIPELINE_FAILURE, T.PIPELINE_CANCELING, T.PIPELINE_CANCELED}
STEP_EVENTS = {
    T.STEP_START,
    T.STEP_INPUT,
    T.STEP_OUTPUT,
    T.STEP_SUCCESS,
    T.STEP_FAILURE,
    T.STEP_SKIPPED,
    T.STEP_UP_FOR_RETRY,
    T.STEP_RESTARTED,
    T.HANDLED_OUTPUT,
    T.LOADED_INPUT,
    T.ASSET_MATERIALIZATION,
    T.ASSET_OBSERVATION,
    T.ASSET_CHECK_EVALUATION,
    T.STEP_EXPECTATION_RESULT,
    T.HOOK_COMPLETED,
    T.HOOK_ERRORED,
    T.HOOK_SKIPPED,
}


def summary(instance: dg.DagsterInstance, run_id: str) -> dict:
    run = instance.get_run_by_id(run_id)
    steps: dict[str, list[str]] = {}
    run_events = []
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type in RUN_EVENTS:
            run_events.append(event.event_type_value)
        if event.event_type in STEP_EVENTS and event.step_key:
            steps.setdefault(event.step_key, []).append(_label(event))
    return {"status": run.status.value, "run_events": run_events, "steps": steps}


def comparable(doc: dict) -> dict:
    """Hooks are kept in a set by Dagster, so their order (always last) varies."""
    steps = {
        key: [one for one in events if not one.startswith("HOOK_")] + sorted(one for one in events if one.startswith("HOOK_"))
        for key, events in doc["steps"].items()
    }
    return json.loads(json.dumps({"status": doc["status"], "run_events": doc["run_events"], "steps": steps}))


def _label(event: dg.DagsterEvent) -> str:
    kind = event.event_type_value
    data = event.event_specific_data
    if event.event_type == T.STEP_OUTPUT:
        handle = event.step_output_data.step_output_handle
        return f"{kind} {handle.output_name}" + (f"[{handle.mapping_key}]" if handle.mapping_key else "")
    if event.event_type == T.HANDLED_OUTPUT:
        return f"{kind} {data.output_name}"
    if event.event_type in (T.STEP_INPUT, T.LOADED_INPUT):
        return f"{kind} {data.input_name}"
    if event.event_type == T.ASSET_MATERIALIZATION:
        made = data.materialization
        return f"{kind} {made.asset_key.to_user_string()}" + (f" [{made.partition}]" if made.partition else "")
    if event.event_type == T.ASSET_CHECK_EVALUATION:
        return f"{kind} {data.check_name} passed={data.passed} {data.severity.value}"
    if event.event_type == T.STEP_FAILURE:
        error, names = data.error, []
        while error:
            names.append(str(error.cls_name))
            error = error.cause
        return f"{kind} source={data.error_source.value if data.error_source else None} errors={'<-'.join(names)}"
    if event.event_type == T.STEP_UP_FOR_RETRY:
        return f"{kind} seconds_to_wait={data.seconds_to_wait}"
    return kind
