/** A stack to watch with every part that can be watched, for the tests of alarms and dashboard. */
import type { Watched } from "../../infra/watched.ts";

export const WATCHED: Watched = {
  metrics: { namespace: "taskiq", stack: "taskiq-test" },
  queues: [
    { name: "default", queueName: "taskiq-test-default", deadLetter: false, retentionSeconds: 1_209_600 },
    { name: "mail", queueName: "taskiq-test-mail", deadLetter: false, fair: true, retentionSeconds: 345_600 },
    { name: "ordered", queueName: "taskiq-test-ordered.fifo", deadLetter: false, retentionSeconds: 1_209_600 },
    { name: "dead-letter", queueName: "taskiq-test-dead-letter", deadLetter: true, retentionSeconds: 1_209_600 },
    { name: "cancel", queueName: "taskiq-test-cancel", deadLetter: false, cancel: true, retentionSeconds: 86_400 },
  ],
  loadBalancer: {
    arnSuffix: "app/taskiq-test/50dc6c495c0c9188",
    targetGroupArnSuffix: "targetgroup/api/73e2d6bc24d8a067",
  },
  clusterName: "taskiq-test",
  serviceNames: { api: "taskiq-test-api", worker: "taskiq-test-worker" },
  database: { instanceId: "taskiq-test", instanceClass: "db.t4g.small", storageGb: 20 },
  logGroupNames: ["/taskiq/taskiq-test/api", "/taskiq/taskiq-test/worker"],
  workerMax: 20,
  containerInsights: true,
  requestSeconds: 5,
};
