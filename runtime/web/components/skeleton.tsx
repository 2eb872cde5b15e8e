/** Grey shapes where something will stand: of the size that it will have, so that nothing moves when it comes. */
import "./skeleton.css";

export type SkeletonProps = { readonly width?: number | string; readonly height?: number };

export function Skeleton({ width = "100%", height = 14 }: SkeletonProps) {
  return <span className="skeleton" style={{ width, height }} aria-hidden="true" />;
}

/** Rows of a table. */
export function RowsSkeleton({ rows = 8 }: { readonly rows?: number }) {
  return (
    <div aria-busy="true">
      <span className="unseen">Loading</span>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
        <div className="skeleton-row" key={row}>
          <Skeleton width={`${36 - ((row * 7) % 17)}%`} />
          <Skeleton width="12%" />
          <Skeleton width="9%" />
        </div>
      ))}
    </div>
  );
}

export function PageSkeleton() {
  return (
    <div className="skeleton-page" aria-busy="true">
      <Skeleton width={180} height={24} />
      <RowsSkeleton />
    </div>
  );
}
