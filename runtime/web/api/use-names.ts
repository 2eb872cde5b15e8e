/** The names of queues and tasks, for fields that suggest them. They change with a deployment only. */
import { useQuery } from "@tanstack/react-query";
import { useApi } from "./api-provider.tsx";

export type Names = { readonly queues: readonly string[]; readonly tasks: readonly string[] };

const NONE: Names = { queues: [], tasks: [] };

/** Empty until they are known, and where the key may not see them. */
export function useNames(): Names {
  const { client } = useApi();
  const { data } = useQuery({
    queryKey: ["names"],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async () => {
      const [queues, tasks] = await Promise.all([client.queues.list(), client.taskDefinitions()]);
      return { queues: queues.map(({ name }) => name), tasks: tasks.map(({ name }) => name) };
    },
  });
  return data ?? NONE;
}
