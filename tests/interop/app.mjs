// A small real Auth.js app: Express, @auth/express, one Credentials provider.
//
// PORT (0 takes a free one) says where it listens on loopback; `listening PORT` is printed once it does.
// AUTH_SECRET is its secret, as Auth.js reads it. Any user name gets in with the password `open sesame`,
// and the user's id is `user-NAME`.
globalThis.crypto ??= (await import("node:crypto")).webcrypto

const { default: express } = await import("express")
const { ExpressAuth, getSession } = await import("@auth/express")
const { default: Credentials } = await import("@auth/express/providers/credentials")

const config = {
  trustHost: true,
  session: { strategy: "jwt" },
  providers: [
    Credentials({
      credentials: { username: {}, password: { type: "password" } },
      authorize({ username, password }) {
        if (password !== "open sesame") return null
        return { id: `user-${username}`, name: username, email: `${username}@example.com` }
      },
    }),
  ],
}

const app = express()
// A pattern with a group: @auth/express finds its base path by cutting off what the group matched.
app.use(/^\/auth\/(.*)$/, ExpressAuth(config))
app.get("/whoami", async (request, response) => {
  response.json(await getSession(request, config))
})

const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening ${server.address().port}`)
})
