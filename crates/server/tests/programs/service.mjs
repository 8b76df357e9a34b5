// The paths that the table of services.rs requests, on Node.js. Arguments: the port, and the module of the server.
const [port, protocol] = process.argv.slice(2)
const { createServer } = await import(protocol)

const answers = {
  "/user": ({ headers }, response) =>
    response.end(`${headers["x-user-id"]} ${headers["x-user-email"]} ${headers["x-user-name"]}`),
  "/none": (_, response) => response.writeHead(204).end(),
  "/refuse": (_, response) => response.writeHead(403).end("no"),
  "/same": (_, response) => response.writeHead(304, { ETag: '"a"' }).end(),
  "/echo": (request, response) => request.pipe(response),
  "/pieces": (_, response) => {
    for (const piece of ["one ", "two "]) response.write(piece)
    response.end("three")
  },
  "/visits": ({ headers }, response) => {
    const visits = Number(/visits=(\d+)/.exec(headers.cookie)?.[1] ?? 0) + 1
    response.setHeader("Set-Cookie", `visits=${visits}`)
    response.end(`${visits}`)
  },
  "/port": ({ socket }, response) => response.end(`${socket.remotePort}`),
  "/hints": (_, response) => {
    response.writeEarlyHints({ link: "</style.css>; rel=preload" })
    response.end("hinted")
  },
}
const server = createServer((request, response) => {
  const answer = answers[request.url]
  return answer ? answer(request, response) : response.writeHead(404).end()
})
server.listen(Number(port), "127.0.0.1")
