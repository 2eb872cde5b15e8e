/** Whose key this is and what it allows; light or dark; the documentation of the API; and a way to forget the key. */
import BookOpen from "lucide-react/icons/book-open";
import LogOut from "lucide-react/icons/log-out";
import Monitor from "lucide-react/icons/monitor";
import Moon from "lucide-react/icons/moon";
import Sun from "lucide-react/icons/sun";
import { useApi } from "../api/api-provider.tsx";
import { useSession } from "../api/session.tsx";
import { Button, ButtonLink } from "../components/button.tsx";
import { type ThemeChoice, useTheme } from "../theme/theme.tsx";

const THEMES: readonly (readonly [ThemeChoice, string, typeof Sun])[] = [
  ["system", "As the system", Monitor],
  ["light", "Light", Sun],
  ["dark", "Dark", Moon],
];

export function Account() {
  const { auth, name, tenant, scopes, version } = useSession();
  const { forgetKey } = useApi();
  const { choice, choose } = useTheme();
  return (
    <div className="account">
      <div className="account-line">
        <fieldset className="account-themes">
          <legend className="unseen">Colours</legend>
          {THEMES.map(([theme, label, icon]) => (
            <Button
              key={theme}
              look="quiet"
              size="small"
              icon={icon}
              label={label}
              pressed={choice === theme}
              onClick={() => choose(theme)}
            />
          ))}
        </fieldset>
        <ButtonLink
          look="quiet"
          size="small"
          icon={BookOpen}
          label="API reference"
          href={new URL("docs", document.baseURI).href}
        />
      </div>
      <div className="account-who">
        <div className="grow">
          <strong className="truncate" title={name}>
            {auth === "none" ? "Open to everybody" : name}
          </strong>
          <span className="truncate" title={`tenant ${tenant}; scopes ${scopes.join(", ")}`}>
            {auth === "none" ? `version ${version}` : `${tenant} · ${scopes.join(", ")}`}
          </span>
        </div>
        {auth === "keys" && (
          <Button look="quiet" size="small" icon={LogOut} label="Forget the key" onClick={forgetKey} />
        )}
      </div>
    </div>
  );
}
