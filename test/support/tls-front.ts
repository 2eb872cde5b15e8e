/**
 * Puts TLS in front of a Postgres that has none, with a certificate for `localhost`: answers the client's SSLRequest
 * itself and passes what is inside the TLS connection on as it is.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { pipeline } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";

export type TlsFront = { readonly port: number; readonly caFile: string; close(): Promise<void> };

/** Bytes of an SSLRequest: its own length (8) and a number that no protocol version has. */
const SSL_REQUEST_BYTES = 8;

export async function startTlsFront(target: { host: string; port: number }): Promise<TlsFront> {
  const secureContext = createSecureContext({ cert: read("server.pem"), key: read("server-key.pem") });
  const open = new Set<Socket>();

  const listener = createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.once("readable", () => {
      socket.read(SSL_REQUEST_BYTES);
      socket.write("S");
      const inside = new TLSSocket(socket, { isServer: true, secureContext });
      const server = connect(target);
      // A client that refuses the certificate ends both pipelines with an error, which is what the tests are about.
      pipeline(inside, server, () => server.destroy());
      pipeline(server, inside, () => inside.destroy());
    });
  });

  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  // A TCP listener's address is an object; it is a string only for pipes.
  const { port } = listener.address() as AddressInfo;
  return {
    port,
    caFile: path("ca.pem"),
    async close() {
      for (const socket of open) socket.destroy();
      listener.close();
      await once(listener, "close");
    },
  };
}

const path = (file: string): string => fileURLToPath(new URL(`./tls/${file}`, import.meta.url));
const read = (file: string): Buffer => readFileSync(path(file));
