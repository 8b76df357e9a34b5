// An HTTP/2 service that accepts WebSockets as streams (RFC 8441): `node_service.js PORT [KEY CERTIFICATE]`. It answers with the
// request as JSON, and echoes WebSocket messages. With a certificate it also supports HTTP/1.1, for clients that offer nothing else.
const fs = require("node:fs");
const http2 = require("node:http2");

const [port, key, certificate] = process.argv.slice(2);
const settings = { enableConnectProtocol: true };
const server = key
  ? http2.createSecureServer({ settings, allowHTTP1: true, key: fs.readFileSync(key), cert: fs.readFileSync(certificate) })
  : http2.createServer({ settings });

server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  if (headers[":method"] === "CONNECT") {
    if (headers[":path"] === "/refused") {
      stream.respond({ ":status": 403 });
      stream.end("no");
      return;
    }
    stream.respond({ ":status": 200, "x-request-headers": JSON.stringify(headers), "sec-websocket-protocol": "chat" });
    stream.pipe(stream);
    return;
  }
  let body = "";
  let trailers = {};
  stream.on("trailers", (fields) => (trailers = { ...fields }));
  stream.on("data", (piece) => (body += piece));
  stream.on("end", () =>
    setImmediate(() => {
      stream.respond({ ":status": 200, "content-type": "application/json" });
      stream.end(JSON.stringify({ headers, body, trailers }));
    }),
  );
});
// Without this listener, every CONNECT gets 405 once there is a listener for requests (lib/internal/http2/compat.js, Node 20).
server.on("connect", () => {});
server.on("request", (request, response) => {
  if (request.httpVersionMajor === 1) {
    response.end(JSON.stringify({ headers: request.headers, version: request.httpVersion }));
  }
});
server.listen(Number(port), "127.0.0.1");
