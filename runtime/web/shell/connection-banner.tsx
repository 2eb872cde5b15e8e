/** Says that the API does not answer, for as long as that is so. What is shown stays. */
import CloudOff from "lucide-react/icons/cloud-off";
import { useSyncExternalStore } from "react";
import { useApi } from "../api/api-provider.tsx";

export function ConnectionBanner() {
  const { connection } = useApi();
  const isLost = useSyncExternalStore(connection.subscribe, connection.isLost);
  return (
    <div role="status">
      {isLost && (
        <div className="banner">
          <CloudOff size={15} aria-hidden="true" />
          The API does not answer. This page goes on by itself when it does.
        </div>
      )}
    </div>
  );
}
