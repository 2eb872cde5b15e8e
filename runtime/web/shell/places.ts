/** The pages that the frame leads to, with the key that goes there after `g`. */

import type { LucideIcon } from "lucide-react";
import Boxes from "lucide-react/icons/boxes";
import CalendarClock from "lucide-react/icons/calendar-clock";
import LayoutDashboard from "lucide-react/icons/layout-dashboard";
import ListChecks from "lucide-react/icons/list-checks";
import Play from "lucide-react/icons/play";
import Server from "lucide-react/icons/server";
import Workflow from "lucide-react/icons/workflow";

export type AppPlace = {
  readonly label: string;
  readonly href: string;
  readonly key: string;
  readonly icon: LucideIcon;
};

export const PLACES: readonly AppPlace[] = [
  { label: "Overview", href: "/overview", key: "o", icon: LayoutDashboard },
  { label: "Runs", href: "/runs", key: "r", icon: Workflow },
  { label: "Tasks", href: "/tasks", key: "t", icon: ListChecks },
  { label: "Queues", href: "/queues", key: "q", icon: Boxes },
  { label: "Workers", href: "/workers", key: "w", icon: Server },
  { label: "Schedules", href: "/schedules", key: "s", icon: CalendarClock },
  { label: "Start", href: "/start", key: "n", icon: Play },
];

/** How many of them a phone shows at its lower edge; the others are behind "More". */
export const PHONE_PLACES = 4;

export function isWithin(path: string, href: string): boolean {
  return path === href || path.startsWith(`${href}/`);
}
