/** For an address that no page has. */
import Compass from "lucide-react/icons/compass";
import { ButtonLink } from "../components/button.tsx";
import { Empty } from "../components/notice.tsx";
import { Page } from "../components/page.tsx";

export function NotFound() {
  return (
    <Page title="Not found">
      <Empty
        icon={Compass}
        title="No page has this address"
        actions={<ButtonLink href="/overview">To the overview</ButtonLink>}
      >
        It may have been mistyped, or come from another version of the dashboard.
      </Empty>
    </Page>
  );
}
