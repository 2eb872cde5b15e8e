/**
 * The drawing of a graph: nodes where they were placed, lines between them. Only what can be seen is in the page. With Ctrl or ⌘ the wheel zooms;
 * alone it scrolls the page, as everywhere else.
 */
import "@xyflow/react/dist/base.css";
import "./graph-canvas.css";
import {
  Background,
  type Edge,
  MiniMap,
  Panel,
  Position,
  ReactFlow,
  type ReactFlowInstance,
  useReactFlow,
  useStore,
} from "@xyflow/react";
import Maximize from "lucide-react/icons/maximize";
import Minus from "lucide-react/icons/minus";
import Plus from "lucide-react/icons/plus";
import { useEffect, useMemo, useRef } from "react";
import { Button } from "../components/button.tsx";
import { useTheme } from "../theme/theme.tsx";
import { firstView, viewOn } from "./first-view.ts";
import type { FoldedGraph } from "./fold-steps.ts";
import { GraphBox, type GraphNode, type GraphNodeData, NODE_SIZE } from "./graph-node.tsx";
import type { NodeFace } from "./node-face.ts";
import type { Placement, Point } from "./place-nodes.ts";

export type GraphCanvasProps = {
  readonly label: string;
  readonly graph: FoldedGraph;
  readonly placement: Placement;
  /** In the order of the nodes, as `marks`. */
  readonly faces: readonly NodeFace[];
  readonly marks?: readonly GraphNodeData["mark"][] | undefined;
  /** Its place in the list of nodes; null: none. */
  readonly selected: number | null;
  readonly onPick: (id: string) => void;
};

const NODE_TYPES = { box: GraphBox };
const HANDLES = [
  { type: "target", position: Position.Left, x: 0, y: NODE_SIZE.height / 2, width: 1, height: 1 },
  { type: "source", position: Position.Right, x: NODE_SIZE.width, y: NODE_SIZE.height / 2, width: 1, height: 1 },
] as const;
/** A small graph gets a small canvas, with room to move it in. */
const LEAST_PX = 300;
const ROOM_PX = 180;
/** More lines than this are a grey mass: only those of the selected node are drawn. */
const MOST_EDGES = 1_200;
/** From how many nodes on a small map helps. */
const MAP_NODES = 40;

export function GraphCanvas({ label, graph, placement, faces, marks, selected, onPick }: GraphCanvasProps) {
  const { shown } = useTheme();
  const frame = useRef<HTMLElement>(null);
  const nodes = useNodes({ graph, placement, faces, marks, selected, onPick });
  const isDense = graph.edges.length > MOST_EDGES;
  const edges = useMemo(
    () => edgesOf(graph, faces, isDense ? selected : null, isDense),
    [graph, faces, selected, isDense],
  );
  const begin = (flow: ReactFlowInstance<GraphNode, Edge>) => {
    const box = frame.current?.getBoundingClientRect();
    if (box === undefined) return;
    const point = selected === null ? undefined : placement.points[selected];
    const isWhole = placement.width < box.width && placement.height < box.height;
    const centre = point && { x: point.x + NODE_SIZE.width / 2, y: point.y + NODE_SIZE.height / 2 };
    void flow.setViewport(centre === undefined || isWhole ? firstView(placement, box) : viewOn(centre, box));
  };
  return (
    <section
      ref={frame}
      className="graph-canvas"
      aria-label={label}
      style={{ maxHeight: Math.max(LEAST_PX, placement.height + ROOM_PX) }}
    >
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        onInit={begin}
        colorMode={shown}
        minZoom={0.08}
        maxZoom={1.6}
        onlyRenderVisibleElements
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        zoomOnScroll={false}
        zoomOnDoubleClick={false}
        preventScrolling={false}
        deleteKeyCode={null}
        proOptions={{ hideAttribution: true }}
      >
        <Background gap={22} size={1} color="var(--border-strong)" />
        <CanvasButtons />
        <KeepInSight point={selected === null ? undefined : placement.points[selected]} />
        {isDense && selected === null && (
          <Panel position="top-left" className="graph-hint">
            {graph.edges.length.toLocaleString("en-US")} lines: choose a node to see its own
          </Panel>
        )}
        {nodes.length > MAP_NODES && (
          <MiniMap<GraphNode>
            ariaLabel="Map of the graph"
            pannable
            className="graph-map"
            nodeColor={({ data }) => `var(--${data.face.state ?? "border-strong"})`}
          />
        )}
      </ReactFlow>
    </section>
  );
}

function CanvasButtons() {
  const { zoomIn, zoomOut, fitView } = useReactFlow();
  return (
    <Panel position="bottom-left" className="graph-buttons">
      <Button size="small" icon={Plus} label="Zoom in" onClick={() => void zoomIn()} />
      <Button size="small" icon={Minus} label="Zoom out" onClick={() => void zoomOut()} />
      <Button
        size="small"
        icon={Maximize}
        label="Show all"
        onClick={() => void fitView({ padding: 0.06, maxZoom: 1 })}
      />
    </Panel>
  );
}

const GLIDE_MS = 200;

/** The panel that a selection opens takes room from the drawing: what is selected must not be what is hidden by that. */
function KeepInSight({ point }: { readonly point: Point | undefined }) {
  const flow = useReactFlow();
  const [width, height] = [useStore((state) => state.width), useStore((state) => state.height)];
  useEffect(() => {
    if (point === undefined || width === 0) return;
    const { x, y, zoom } = flow.getViewport();
    const [left, top] = [point.x * zoom + x, point.y * zoom + y];
    const isInside =
      left >= 0 && top >= 0 && left + NODE_SIZE.width * zoom <= width && top + NODE_SIZE.height * zoom <= height;
    if (isInside) return;
    const duration = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : GLIDE_MS;
    void flow.setCenter(point.x + NODE_SIZE.width / 2, point.y + NODE_SIZE.height / 2, { zoom, duration });
  }, [point, width, height, flow]);
  return null;
}

/** A node whose face, mark and place are as before is the same object as before: it is not drawn again. */
function useNodes(parts: Omit<GraphCanvasProps, "label">): GraphNode[] {
  const { graph, placement, faces, marks, selected, onPick } = parts;
  const known = useRef<readonly GraphNode[]>([]);
  return useMemo(() => {
    const nodes = graph.nodes.map((node, at): GraphNode => {
      const face = faces[at];
      const mark = marks?.[at] ?? null;
      const was = known.current[at];
      const position = placement.points[at] ?? { x: 0, y: 0 };
      const isSelected = at === selected;
      const isSame =
        was?.id === node.id &&
        was.data.face === face &&
        was.data.mark === mark &&
        was.data.isSelected === isSelected &&
        was.data.onPick === onPick &&
        was.position === position;
      if (isSame || face === undefined) return was ?? blankNode(node.id, position);
      return { ...blankNode(node.id, position), data: { face, isSelected, mark, onPick } };
    });
    known.current = nodes;
    return nodes;
  }, [graph, placement, faces, marks, selected, onPick]);
}

function blankNode(id: string, position: { readonly x: number; readonly y: number }): GraphNode {
  // Its data is there before it is drawn: each node has a face.
  const data = {} as GraphNodeData;
  return { id, type: "box", position, ...NODE_SIZE, handles: [...HANDLES], data };
}

function edgesOf(graph: FoldedGraph, faces: readonly NodeFace[], of: number | null, isDense: boolean): Edge[] {
  const drawn = isDense ? graph.edges.filter(({ from, to }) => from === of || to === of) : graph.edges;
  return drawn.map(({ from, to, count }) => {
    const [source, target] = [graph.nodes[from]?.id ?? "", graph.nodes[to]?.id ?? ""];
    const state = faces[to]?.state === "running" ? "active" : edgeState(faces[from]);
    return {
      id: `${source}>${target}`,
      source,
      target,
      className: `graph-edge graph-edge-${state}`,
      style: { strokeWidth: Math.min(4, 1.4 + Math.log10(count)) },
    };
  });
}

function edgeState(face: NodeFace | undefined): "done" | "broken" | "waiting" {
  if (face?.state === "succeeded") return "done";
  return face?.state === "failed" || face?.state === "cancelled" ? "broken" : "waiting";
}
