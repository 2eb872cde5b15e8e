/** Asks for an API key. It is kept in this tab only, and never stands in an address. */
import "./sign-in.css";
import KeyRound from "lucide-react/icons/key-round";
import { useState } from "react";
import type { ApiError } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { isUsableKey } from "../api/key-store.ts";
import { Button } from "../components/button.tsx";
import { Command } from "../components/copy.tsx";
import { FailureLine } from "../components/failure-line.tsx";
import { TextField } from "../components/field.tsx";
import { Brand } from "../shell/brand.tsx";

/** @param refusal what the API said to the key before, or to none */
export function SignIn({ refusal }: { readonly refusal: ApiError }) {
  const { useKey: signIn, hasKey } = useApi();
  const [key, setKey] = useState("");
  const [issue, setIssue] = useState<string>();
  const submit = () => {
    const given = key.trim();
    if (isUsableKey(given)) return signIn(given);
    setIssue("Expected an API key: up to 200 visible characters without blanks.");
  };
  return (
    <main className="sign-in">
      <form
        className="sign-in-card"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Brand />
        <h1>Sign in to taskiq-aws</h1>
        <TextField
          label="API key"
          type="password"
          value={key}
          onChange={setKey}
          placeholder="tq_…"
          autoFocus
          mono
          issue={issue}
          note="Kept in this tab until it is closed. It is sent to this API only."
        />
        {hasKey && <FailureLine error={refusal} />}
        <Button look="primary" icon={KeyRound} submit>
          Sign in
        </Button>
        <p className="sign-in-help">No key yet? Whoever runs this deployment makes one:</p>
        <Command text="npx taskiq-aws keygen --name dashboard --scopes read,operate,enqueue" />
      </form>
    </main>
  );
}
