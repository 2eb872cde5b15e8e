/**
 * A table of any length: only the rows that can be seen are in the page. It scrolls with the page. `j` and `k` go through the rows, Enter opens one;
 * Tab reaches the links as ever.
 */
import "./table.css";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import { navigate } from "../route/hash-location.ts";
import { useRowKeys } from "./row-keys.ts";
import { RowsSkeleton } from "./skeleton.tsx";

export type Column<Row> = {
  readonly key: string;
  readonly title: ReactNode;
  readonly cell: (row: Row) => ReactNode;
  /** As in CSS: `120px`, `20%`. Default: what is left, shared. */
  readonly width?: string;
  readonly align?: "end";
  /** Left out where the page is narrower than a tablet (`medium`, 1,000 px) or a phone (`small`, 640 px). */
  readonly hide?: "medium" | "small";
};

export type TableProps<Row> = {
  /** What it lists: `Tasks`. */
  readonly label: string;
  /** Undefined: not known yet. */
  readonly rows: readonly Row[] | undefined;
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  /** The page of a row. */
  readonly hrefOf?: (row: Row) => string;
  /** In place of `hrefOf`. */
  readonly onOpen?: (row: Row) => void;
  readonly selectedKey?: string | null;
  /** In place of rows, where there are none. */
  readonly empty: ReactNode;
  /** Called when the end comes in sight. */
  readonly onEnd?: () => void;
  /** Below the last row. */
  readonly foot?: ReactNode;
  /** Default 40. */
  readonly rowPx?: number;
};

const OVERSCAN = 12;

export function Table<Row>(props: TableProps<Row>) {
  const { label, rows, columns, keyOf, hrefOf, onOpen, selectedKey = null, empty, onEnd, foot, rowPx = 40 } = props;
  const body = useRef<HTMLTableSectionElement>(null);
  const marginPx = useTop(body);
  const count = rows?.length ?? 0;
  const virtual = useWindowVirtualizer({
    count,
    estimateSize: () => rowPx,
    overscan: OVERSCAN,
    scrollMargin: marginPx,
  });
  const open = (row: Row) =>
    onOpen !== undefined ? onOpen(row) : hrefOf !== undefined ? navigate(hrefOf(row)) : undefined;
  const openAt = (index: number) => rows?.[index] !== undefined && open(rows[index]);
  const isOpenable = hrefOf !== undefined || onOpen !== undefined;
  const active = useRowKeys({
    count,
    onOpen: isOpenable ? openAt : undefined,
    scrollTo: (index) => virtual.scrollToIndex(index),
  });

  // Screen readers follow the focus; a row that leads nowhere by a link is only marked.
  useEffect(() => {
    if (active < 0) return;
    const link = body.current?.querySelector<HTMLElement>(`tr[aria-rowindex="${active + 2}"] a`);
    link?.focus({ preventScroll: true });
  }, [active]);

  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (count > 0 && last >= count - OVERSCAN) onEnd?.();
  }, [last, count, onEnd]);

  if (rows === undefined) return <RowsSkeleton />;
  if (rows.length === 0) return <>{empty}</>;
  const before = (items[0]?.start ?? marginPx) - marginPx;
  const after = virtual.getTotalSize() - ((items.at(-1)?.end ?? marginPx) - marginPx);
  return (
    <>
      <table className="table" aria-label={label} aria-rowcount={count + 1}>
        <colgroup>
          {columns.map(({ key, width, hide }) => (
            <col key={key} className={hideClass(hide)} style={width === undefined ? undefined : { width }} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {columns.map(({ key, title, align, hide }) => (
              <th key={key} scope="col" className={cellClass(align, hide)}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {before > 0 && <tr style={{ height: before }} />}
          {items.map(({ index }) => {
            const row = rows[index];
            if (row === undefined) return null;
            const key = keyOf(row);
            return (
              <tr
                key={key}
                aria-rowindex={index + 2}
                aria-current={key === selectedKey ? "true" : undefined}
                className={rowClass(isOpenable, index === active, key === selectedKey)}
                style={{ height: rowPx }}
                onClick={(event) => isOpenable && isPlainClick(event) && open(row)}
              >
                {columns.map(({ key: column, cell, align, hide }) => (
                  <td key={column} className={cellClass(align, hide)}>
                    {cell(row)}
                  </td>
                ))}
              </tr>
            );
          })}
          {after > 0.5 && <tr style={{ height: after }} />}
        </tbody>
      </table>
      {foot !== undefined && <div className="table-foot">{foot}</div>}
    </>
  );
}

/** Where the rows begin on the page, which is where their virtual positions begin. */
function useTop(element: React.RefObject<HTMLElement | null>): number {
  const [topPx, setTop] = useState(0);
  // After each change of the page: what is above may have grown.
  useLayoutEffect(() => {
    const box = element.current?.getBoundingClientRect();
    if (box !== undefined) setTop(Math.round(box.top + scrollY));
  });
  return topPx;
}

/** Not on something that has a meaning of its own, and not the end of a selection of text. */
function isPlainClick(event: React.MouseEvent): boolean {
  const target = event.target;
  if (!(target instanceof Element) || target.closest("a, button, input, label, select, summary") !== null) return false;
  return getSelection()?.toString() === "";
}

function rowClass(isOpenable: boolean, isActive: boolean, isSelected: boolean): string {
  return [isOpenable ? "table-open" : "", isActive ? "table-active" : "", isSelected ? "table-selected" : ""].join(" ");
}

function cellClass(align: Column<unknown>["align"], hide: Column<unknown>["hide"]): string {
  return `${align === "end" ? "table-end" : ""} ${hideClass(hide)}`;
}

function hideClass(hide: Column<unknown>["hide"]): string {
  return hide === undefined ? "" : `hide-${hide}`;
}
