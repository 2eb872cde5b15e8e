/** Which page a path leads to. Each is a file of its own, fetched when it is first shown. */
import { lazy, Suspense } from "react";
import { Redirect, Route, Switch, useLocation } from "wouter";
import { PageSkeleton } from "./components/skeleton.tsx";
import { NotFound } from "./shell/not-found.tsx";

const Overview = lazy(() => import("./overview/overview-page.tsx"));
const Tasks = lazy(() => import("./tasks/tasks-page.tsx"));
const Task = lazy(() => import("./tasks/task-page.tsx"));
const Queues = lazy(() => import("./queues/queues-page.tsx"));
const Queue = lazy(() => import("./queues/queue-page.tsx"));
const Workers = lazy(() => import("./workers/workers-page.tsx"));
const Worker = lazy(() => import("./workers/worker-page.tsx"));
const Schedules = lazy(() => import("./schedules/schedules-page.tsx"));
const Schedule = lazy(() => import("./schedules/schedule-page.tsx"));
const NewSchedule = lazy(() => import("./schedules/new-schedule-page.tsx"));
const Runs = lazy(() => import("./runs/runs-page.tsx"));
const Run = lazy(() => import("./runs/run-page.tsx"));
const Start = lazy(() => import("./start/start-page.tsx"));

export function Pages() {
  const [path] = useLocation();
  return (
    // A boundary for each place: one that is shared would keep the page before alive, and reading, until the next one is fetched.
    <Suspense key={path} fallback={<PageSkeleton />}>
      <Switch>
        <Route path="/">
          <Redirect to="/overview" replace />
        </Route>
        <Route path="/overview" component={Overview} />
        <Route path="/tasks" component={Tasks} />
        <Route path="/tasks/:id">{({ id }) => <Task key={id} id={id} />}</Route>
        <Route path="/queues" component={Queues} />
        <Route path="/queues/:name">{({ name }) => <Queue key={name} name={name} />}</Route>
        <Route path="/workers" component={Workers} />
        <Route path="/workers/:name">{({ name }) => <Worker key={name} name={name} />}</Route>
        <Route path="/schedules" component={Schedules} />
        <Route path="/schedules/new" component={NewSchedule} />
        <Route path="/schedules/:id">{({ id }) => <Schedule key={id} id={id} />}</Route>
        <Route path="/runs" component={Runs} />
        <Route path="/runs/:id">{({ id }) => <Run key={id} id={id} />}</Route>
        <Route path="/start" component={Start} />
        <Route path="/start/:kind/:name" component={Start} />
        <Route component={NotFound} />
      </Switch>
    </Suspense>
  );
}
