/** Lets nobody in before the API has said who it is; asks for a key where one is needed. */
import type { ReactNode } from "react";
import { ApiError } from "../../client/index.ts";
import { SessionProvider, useSessionQuery } from "../api/session.tsx";
import { ErrorBox } from "../components/notice.tsx";
import { PageSkeleton } from "../components/skeleton.tsx";
import { SignIn } from "../sign-in/sign-in.tsx";

export function SessionGate({ children }: { readonly children: ReactNode }) {
  const { data, error, refetch } = useSessionQuery();
  if (error instanceof ApiError && error.status === 401) return <SignIn refusal={error} />;
  // A look that failed later: the banner says so.
  if (data !== undefined) return <SessionProvider session={data}>{children}</SessionProvider>;
  if (error === null) return <PageSkeleton />;
  return (
    <main className="gate">
      <ErrorBox title="The API could not be reached" error={error} retry={() => void refetch()} />
    </main>
  );
}
