/** The arrows of the design: model ← wire/flow ← api | executor | worker; adapters are handed in by main. */
const runs = "^runtime/(api|executor|worker|client|local)/";
const adapters = "^runtime/(queue/sqs|payload/s3|ecs/ecs|secrets/secrets-manager)";

module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true, dependencyTypesNot: ["type-only"] } },
    {
      name: "model-is-pure",
      comment: "runtime/model imports nothing outside itself",
      severity: "error",
      from: { path: "^runtime/model/" },
      to: { pathNot: "^runtime/model/" },
    },
    {
      name: "wire-is-pure",
      severity: "error",
      from: { path: "^runtime/wire/" },
      to: { path: "^runtime/", pathNot: "^runtime/(wire|model)/" },
    },
    {
      name: "flow-knows-no-runner",
      severity: "error",
      from: { path: "^runtime/flow/" },
      to: { path: runs },
    },
    {
      name: "runners-do-not-know-each-other",
      severity: "error",
      from: { path: "^runtime/(api|executor|worker|client|local)/" },
      to: { path: "^runtime/(api|executor|worker|client|local)/", pathNot: "^runtime/$1/" },
    },
    {
      name: "adapters-are-handed-in",
      comment: "only main, the CLI's doctor and tests construct the AWS adapters",
      severity: "error",
      from: { path: "^runtime/(model|wire|flow|define|tasks|api|executor|worker|client)/" },
      to: { path: adapters },
    },
    {
      name: "sdk-stays-in-adapters",
      severity: "error",
      // The doctor asks for attributes that nothing else needs to know. A Pipes session reads and writes where Dagster says.
      from: {
        path: "^runtime/",
        pathNot: "^runtime/(queue|payload|secrets|ecs|local|cli/doctor)/|^runtime/pipes/objects",
      },
      to: { path: "@aws-sdk/" },
    },
    {
      name: "dashboard-is-a-client",
      comment: "the dashboard reaches the rest over HTTP only",
      severity: "error",
      from: { path: "^runtime/web/" },
      to: { path: "^runtime/", pathNot: "^runtime/(web|client|model)/|^runtime/clock\\.ts$" },
    },
    {
      name: "nobody-needs-the-dashboard",
      comment: "it is built into files, which the API serves",
      severity: "error",
      from: { path: "^runtime/", pathNot: "^runtime/web/" },
      to: { path: "^runtime/web/" },
    },
    {
      name: "runtime-needs-no-test-code",
      severity: "error",
      from: { path: "^runtime/" },
      to: { path: "^(test|bench|infra|deploy)/" },
    },
    {
      name: "infra-knows-the-policy-and-the-variables",
      comment:
        "of the runtime, infra takes the pure rules for scaling, queues and names of tenants and, as a type, the table of environment variables",
      severity: "error",
      from: { path: "^infra/" },
      to: { path: "^runtime/", pathNot: "^runtime/(model/scaling|model/queue|access/scope|config-table)\\.ts$" },
    },
    {
      name: "infra-takes-the-variables-as-a-type",
      severity: "error",
      from: { path: "^infra/" },
      to: { path: "^runtime/config-table\\.ts$", dependencyTypesNot: ["type-only"] },
    },
    {
      name: "configuration-is-read-in-one-place",
      comment: "components are given their values",
      severity: "error",
      from: { path: "^infra/", pathNot: "^infra/(index|queues|database-choice|watching)\\.ts$" },
      to: { path: "^infra/config\\.ts$" },
    },
    {
      name: "infra-needs-no-test-code",
      severity: "error",
      from: { path: "^infra/", pathNot: "^infra/readme\\.ts$" },
      to: { path: "^(test|bench|deploy)/" },
    },
    {
      name: "no-unresolvable",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "runtime-has-production-dependencies-only",
      comment: "the embedded stack is for laptops and tests: its packages are dev dependencies",
      severity: "error",
      from: { path: "^runtime/", pathNot: "^runtime/(local|web)/" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^runtime/web/dist/" },
    enhancedResolveOptions: {
      extensions: [".ts", ".tsx", ".js", ".json"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
