/** `/start`: what can be started. `/start/job/NAME` and `/start/task/NAME`: the form for it. */
import Play from "lucide-react/icons/play";
import { useParams as useRouteParams } from "wouter";
import { useApi } from "../api/api-provider.tsx";
import { useSession } from "../api/session.tsx";
import { usePolled } from "../api/use-polled.ts";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { Page } from "../components/page.tsx";
import { RowsSkeleton } from "../components/skeleton.tsx";
import { JobStart } from "./job-start.tsx";
import { StartChoice } from "./start-choice.tsx";
import { TaskStart } from "./task-start.tsx";

const START_CRUMB = [{ label: "Start", href: "/start" }];

export default function StartPage() {
  const { kind, name } = useRouteParams<{ kind?: string; name?: string }>();
  // What is defined changes with a deployment only.
  const { client } = useApi();
  const { tenant } = useSession();
  const jobs = usePolled({ key: ["jobs", tenant], look: () => client.jobs.list(), everyMs: false });
  const tasks = usePolled({ key: ["task-definitions", tenant], look: () => client.taskDefinitions(), everyMs: false });
  const error = jobs.error ?? tasks.error;
  const again = () => void Promise.all([jobs.refetch(), tasks.refetch()]);
  if (error !== null) {
    return (
      <Page title="Start">
        <ErrorBox title="What can be started could not be read" error={error} retry={again} />
      </Page>
    );
  }
  if (jobs.data === undefined || tasks.data === undefined) {
    return (
      <Page title="Start">
        <RowsSkeleton />
      </Page>
    );
  }
  if (name === undefined) return <StartChoice jobs={jobs.data} tasks={tasks.data} />;
  const job = kind === "job" ? jobs.data.find((one) => one.name === name) : undefined;
  if (job !== undefined) return <JobStart key={name} job={job} />;
  const task = kind === "task" ? tasks.data.find((one) => one.name === name) : undefined;
  if (task !== undefined) return <TaskStart key={name} task={task} />;
  return (
    <Page title="Start" crumbs={START_CRUMB}>
      <Empty icon={Play} title={`There is no ${kind === "job" ? "job" : "task"} called ${name}`}>
        It may be part of another version of the deployment. The page Start lists what there is.
      </Empty>
    </Page>
  );
}
