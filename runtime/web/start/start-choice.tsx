/** The jobs and tasks of the deployment, to choose one that is to run. */
import "./start-choice.css";
import ListChecks from "lucide-react/icons/list-checks";
import Workflow from "lucide-react/icons/workflow";
import { Link } from "wouter";
import type { JobSummary, TaskDefinitionView } from "../../client/index.ts";
import { Card } from "../components/card.tsx";
import { FilterBar, TextFilter } from "../components/filter-bar.tsx";
import { Empty } from "../components/notice.tsx";
import { countedNoun } from "../components/number-text.ts";
import { Page } from "../components/page.tsx";
import { useParams } from "../route/params.ts";

export type StartChoiceProps = {
  readonly jobs: readonly JobSummary[];
  readonly tasks: readonly TaskDefinitionView[];
};

export function StartChoice({ jobs, tasks }: StartChoiceProps) {
  const [params] = useParams();
  const wanted = (params.get("name") ?? "").toLowerCase();
  const fits = ({ name, description }: { readonly name: string; readonly description: string | null }) =>
    `${name} ${description ?? ""}`.toLowerCase().includes(wanted);
  const shownJobs = jobs.filter(fits);
  const shownTasks = tasks.filter(fits);
  return (
    <Page
      title="Start"
      bar={
        <FilterBar params={["name"]}>
          <TextFilter param="name" label="Name or description" placeholder="Find a job or a task" width={240} />
        </FilterBar>
      }
    >
      <Card title="Jobs" aside={countedNoun(shownJobs.length, "job")} flush>
        {shownJobs.length === 0 ? (
          <Empty icon={Workflow} title={jobs.length === 0 ? "No jobs are defined" : "No job has such a name"}>
            {jobs.length === 0 &&
              "A job is a graph of tasks. Define one with defineJob, and add it to the jobs of the image."}
          </Empty>
        ) : (
          <ul className="choices">
            {shownJobs.map((job) => (
              <Choice
                key={job.name}
                href={`/start/job/${encodeURIComponent(job.name)}`}
                {...job}
                note={`${countedNoun(job.stepCount, "step")}${job.mode === "simple" ? ", in one worker" : ""}`}
              />
            ))}
          </ul>
        )}
      </Card>
      <Card title="Tasks" aside={countedNoun(shownTasks.length, "task")} flush>
        {shownTasks.length === 0 ? (
          <Empty icon={ListChecks} title={tasks.length === 0 ? "No tasks are defined" : "No task has such a name"}>
            {tasks.length === 0 && "Define one with defineTask, and add it to the tasks of the image."}
          </Empty>
        ) : (
          <ul className="choices">
            {shownTasks.map((task) => (
              <Choice
                key={task.name}
                href={`/start/task/${encodeURIComponent(task.name)}`}
                {...task}
                note={`queue ${task.queue}`}
              />
            ))}
          </ul>
        )}
      </Card>
    </Page>
  );
}

type ChoiceProps = {
  readonly href: string;
  readonly name: string;
  readonly description: string | null;
  readonly note: string;
};

function Choice({ href, name, description, note }: ChoiceProps) {
  return (
    <li>
      <Link href={href} className="choice">
        <span className="choice-name mono">{name}</span>
        <span className="choice-text muted">{description ?? ""}</span>
        <span className="faint nowrap">{note}</span>
      </Link>
    </li>
  );
}
