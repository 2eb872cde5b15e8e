/** The CloudWatch dashboard of a stack. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { consoleOf } from "./console.ts";
import { dashboardRows } from "./dashboard-rows.ts";
import { placed } from "./dashboard-widgets.ts";
import type { Watched } from "./watched.ts";

export type DashboardArgs = Watched & {
  readonly region: pulumi.Input<string>;
  /** Alarms whose states stand at the top, at most 100. Default none. */
  readonly alarmArns?: pulumi.Input<pulumi.Input<string>[]>;
};

export class Dashboard extends pulumi.ComponentResource {
  /** The dashboard in the console. */
  readonly url: pulumi.Output<string>;

  constructor(name: string, args: DashboardArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Dashboard", name, {}, opts);
    const { region, alarmArns, metrics } = args;
    const body = { start: "-PT3H", widgets: placed(dashboardRows(args, region, alarmArns)) };
    const dashboard = new aws.cloudwatch.Dashboard(
      name,
      { dashboardName: metrics.stack, dashboardBody: pulumi.jsonStringify(body) },
      { parent: this },
    );
    this.url = pulumi
      .all([region, dashboard.dashboardName])
      .apply(
        ([place, dashboardName]) =>
          `https://${place}.${consoleOf(place)}/cloudwatch/home?region=${place}#dashboards/dashboard/${dashboardName}`,
      );
    this.registerOutputs({ url: this.url });
  }
}
