// A small real Auth.js app: Express, @auth/express, one Credentials provider.
//
// PORT (0 takes a free one) says where it listens on loopback; `listening PORT` is printed once it does.
// AUTH_SECRET is its secret, as Auth.js reads it. Any user name gets in with the password `open sesame`,
// and the user's id is `user-NAME`. SIGN_WITH=HS256 (or HS384, HS512) overrides `encode` and `decode`: the session cookie
// is then a JWT, which the first secret signs, and not encrypted. ROLES=true puts a claim `role` into the session: `admin` for
// the user of that name, `user` for everybody else. TRUST_PROXY=true believes `X-Forwarded-Proto`.
//
// `/signin` is the page to which another service sends browsers: it sends them back at once, and signs those in as `ada`
// who have no session yet.
globalThis.crypto ??= (await import("node:crypto")).webcrypto

const { default: express } = await import("express")
const { ExpressAuth, getSession } = await import("@auth/express")
const { default: Credentials } = await import("@auth/express/providers/credentials")

const { encode } = await import("@auth/core/jwt")
const { SignJWT, jwtVerify } = await import("jose")

const alg = process.env.SIGN_WITH
const key = (secret) => new TextEncoder().encode([secret].flat()[0])
const signed = {
  encode: ({ token, secret, maxAge }) =>
    new SignJWT(token)
      .setProtectedHeader({ alg })
      .setIssuedAt()
      .setExpirationTime(Math.floor(Date.now() / 1000) + maxAge)
      .sign(key(secret)),
  decode: async ({ token, secret }) => (token ? (await jwtVerify(token, key(secret))).payload : null),
}

const config = {
  ...(alg && { jwt: signed }),
  trustHost: true,
  session: { strategy: "jwt" },
  // The services that send browsers here are on other ports.
  callbacks: {
    redirect: ({ url, baseUrl }) => new URL(url, baseUrl).href,
    // As apps do: what `authorize` said of the user is there when the user signs in.
    jwt: ({ token, user }) => (user?.role ? { ...token, role: user.role } : token),
  },
  providers: [
    Credentials({
      credentials: { username: {}, password: { type: "password" } },
      authorize({ username, password }) {
        if (password !== "open sesame") return null
        const role = username === "admin" ? "admin" : "user"
        return {
          id: `user-${username}`,
          name: username,
          email: `${username}@example.com`,
          ...(process.env.ROLES === "true" && { role }),
        }
      },
    }),
  ],
}

const app = express()
app.set("trust proxy", process.env.TRUST_PROXY === "true")
// A pattern with a group: @auth/express finds its base path by cutting off what the group matched.
app.use(/^\/auth\/(.*)$/, ExpressAuth(config))
app.get("/whoami", async (request, response) => {
  response.json(await getSession(request, config))
})

app.get("/signin", async (request, response) => {
  if (!(await getSession(request, config))) {
    const [secret, salt] = [process.env.AUTH_SECRET, "authjs.session-token"]
    const token = { sub: "user-ada", name: "ada" }
    response.cookie(salt, await encode({ token, secret, salt, maxAge: 600 }), { httpOnly: true, sameSite: "lax" })
  }
  response.redirect(String(request.query.callbackUrl ?? "/whoami"))
})

const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening ${server.address().port}`)
})
