/** Where the credentials of the database are kept: a secret that RDS manages, or one of our own of the same shape. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

/** The secret that RDS makes and rotates. */
export function managedSecret(instance: aws.rds.Instance): pulumi.Output<string> {
  return instance.masterUserSecrets.apply((secrets) => {
    const arn = secrets[0]?.secretArn;
    if (arn === undefined) {
      throw new Error(
        "expected RDS to make a secret with the master user's password, got none. " +
          "Where the service cannot, as in some emulators, set databasePassword.",
      );
    }
    return arn;
  });
}

/** For services that manage none. `recoveryWindowInDays` 0 frees its name at once; else a deleted secret keeps it so long. */
export function ownSecret(
  name: string,
  given: { username: string; password: pulumi.Input<string>; recoveryWindowInDays: number },
  child: pulumi.CustomResourceOptions,
): pulumi.Output<string> {
  const { username, password, recoveryWindowInDays } = given;
  const secret = new aws.secretsmanager.Secret(
    `${name}-credentials`,
    { description: "User name and password of the database.", recoveryWindowInDays },
    child,
  );
  const secretString = pulumi.secret(pulumi.jsonStringify({ username, password }));
  const version = new aws.secretsmanager.SecretVersion(
    `${name}-credentials`,
    { secretId: secret.id, secretString },
    child,
  );
  // Through the version: whoever reads the ARN finds a value behind it.
  return version.arn;
}
