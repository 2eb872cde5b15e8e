/** What of a graph is seen first: all of it where that can be read, else its beginning. */

export type Extent = { readonly width: number; readonly height: number };
export type View = { readonly x: number; readonly y: number; readonly zoom: number };

/** Below this nobody reads a name: then not all is shown, but that well. */
const LEAST_ZOOM = 0.45;
const READABLE_ZOOM = 0.8;
const MARGIN = 24;

export function firstView(graph: Extent, canvas: Extent): View {
  const room = { width: canvas.width - 2 * MARGIN, height: canvas.height - 2 * MARGIN };
  const fitHeight = room.height / Math.max(1, graph.height);
  const fit = Math.min(room.width / Math.max(1, graph.width), fitHeight);
  const zoom = fit >= LEAST_ZOOM ? Math.min(1, fit) : Math.min(READABLE_ZOOM, Math.max(LEAST_ZOOM, fitHeight));
  const x = graph.width * zoom <= room.width ? (canvas.width - graph.width * zoom) / 2 : MARGIN;
  // In the middle also where it is too tall: there the first and the last node stand.
  return { x, y: (canvas.height - graph.height * zoom) / 2, zoom };
}

/** With a point in the middle. */
export function viewOn(point: { readonly x: number; readonly y: number }, canvas: Extent): View {
  return { x: canvas.width / 2 - point.x, y: canvas.height / 2 - point.y, zoom: 1 };
}
