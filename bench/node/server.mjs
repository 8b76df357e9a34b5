// A typical Node.js proxy that identifies the user with Auth.js itself. One process per core.
import cluster from "node:cluster"
import http from "node:http"
import { getToken } from "../../tests/interop/node_modules/@auth/core/jwt.js"

const { AUTH_SECRET: secret, CORES, LISTEN, UPSTREAM } = process.env
const [host, port] = UPSTREAM.split(":")
const [, ownPort] = LISTEN.split(":")
const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 1024 })

async function answer(request, response) {
  const session = await getToken({ req: request, secret })
  if (!session) {
    response.writeHead(401, { "content-type": "application/json" }).end('{"error":"unauthenticated"}')
    return
  }
  const headers = { ...request.headers, "x-user-id": session.sub, "x-user-email": session.email, "x-user-name": session.name }
  const { method, url: path } = request
  const onward = http.request({ agent, headers, host, method, path, port }, (answered) => {
    response.writeHead(answered.statusCode, answered.headers)
    answered.pipe(response)
  })
  onward.on("error", () => response.writeHead(502).end())
  request.pipe(onward)
}

if (cluster.isPrimary) {
  for (let core = 0; core < Number(CORES); core++) cluster.fork()
} else {
  http.createServer(answer).listen({ host: "127.0.0.1", port: Number(ownPort), backlog: 4096 })
}
