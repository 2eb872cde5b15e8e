/**
 * A TCP proxy that can fail the way networks do. Going silent is the failure that no socket reports: the peer is there,
 * nothing arrives, and only a limit on the waiting side ends it.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type Direction = "to_server" | "to_client";

export type TcpProxy = {
  readonly host: string;
  readonly port: number;
  /** Connections that neither side has closed. */
  readonly openConnections: number;
  /** From now on nothing passes in this direction, by default in both, on open and on new connections. Bytes are kept. */
  silence(direction?: Direction): void;
  /** Nothing passes on the connections that are open now, for ever; new ones work. As after a failover that nobody announced. */
  strand(): void;
  /** Ends every silence; what was kept is passed on. */
  restore(): void;
  /** Resets every open connection. New ones are accepted. */
  cut(): void;
  /** Resets every open connection and refuses new ones. */
  close(): Promise<void>;
};

type Pair = { readonly client: Socket; readonly server: Socket };

export async function startTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const silent = new Set<Direction>();
  const pairs = new Set<Pair>();
  const stranded = new WeakSet<Pair>();

  const listener = createServer((client) => {
    const server = connect(target);
    const pair = { client, server };
    pairs.add(pair);
    forward(client, server);
    forward(server, client);
    flow(pair);
  });

  function forward(from: Socket, to: Socket): void {
    from.setNoDelay(true);
    from.on("data", (bytes) => to.write(bytes));
    from.on("end", () => to.end());
    from.on("error", () => to.resetAndDestroy());
    from.on("close", () => {
      to.destroy();
      for (const pair of pairs) if (pair.client === from || pair.server === from) pairs.delete(pair);
    });
  }

  function flow(pair: Pair): void {
    const { client, server } = pair;
    if (stranded.has(pair) || silent.has("to_server")) client.pause();
    else client.resume();
    if (stranded.has(pair) || silent.has("to_client")) server.pause();
    else server.resume();
  }

  function cut(): void {
    for (const { client, server } of pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  // A TCP listener's address is an object; it is a string only for pipes.
  const { port } = listener.address() as AddressInfo;

  return {
    host: "127.0.0.1",
    port,
    get openConnections() {
      return pairs.size;
    },
    silence(direction) {
      for (const each of direction === undefined ? (["to_server", "to_client"] as const) : [direction])
        silent.add(each);
      pairs.forEach(flow);
    },
    strand() {
      for (const pair of pairs) stranded.add(pair);
      pairs.forEach(flow);
    },
    restore() {
      silent.clear();
      pairs.forEach(flow);
    },
    cut,
    async close() {
      cut();
      listener.close();
      await once(listener, "close");
    },
  };
}
