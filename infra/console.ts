/** Addresses in the AWS console, of which each partition has its own. */
import * as pulumi from "@pulumi/pulumi";

export function consoleOf(region: string): string {
  if (region.startsWith("cn-")) return "console.amazonaws.cn";
  return region.startsWith("us-gov-") ? "console.amazonaws-us-gov.com" : "console.aws.amazon.com";
}

/**
 * Where the lines of one task are: a query of Logs Insights over the last week, with `{taskId}` in it for the id, as TASKIQ_LOGS_URL takes it.
 */
export function taskLogsUrl(region: pulumi.Input<string>, logGroupName: pulumi.Input<string>): pulumi.Output<string> {
  return pulumi.all([region, logGroupName]).apply(([place, group]) => {
    const query = 'fields @timestamp, @message | filter taskId = "{taskId}" | sort @timestamp asc';
    const detail = `~(end~0~start~-${WEEK_SECONDS}~timeType~'RELATIVE~unit~'seconds~editorString~'${encoded(query)}~source~(~'${encoded(group)}))`;
    return `https://${place}.${consoleOf(place)}/cloudwatch/home?region=${place}#logsV2:logs-insights$3FqueryDetail$3D${detail}`;
  });
}

const WEEK_SECONDS = 604_800;

/** As the console writes text into an address: everything but letters, digits and a few signs as `*` and two hex digits. The place of the id stays. */
function encoded(text: string): string {
  return text.replace(/[^A-Za-z0-9._{}-]/g, (sign) => `*${sign.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
