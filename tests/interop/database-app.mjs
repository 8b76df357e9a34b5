// A small real Auth.js app whose sessions live in PostgreSQL: Express, @auth/express, @auth/pg-adapter.
//
// PORT (0 takes a free one) says where it listens on loopback; `listening PORT` is printed once it does.
// AUTH_SECRET is its secret, as Auth.js reads it; DATABASE_URL its database, which gets the tables of the adapter.
// SECURE_COOKIES=true turns on `useSecureCookies`.
//
// Auth.js keeps no sessions of the Credentials provider in a database. So users come from an OAuth provider, which is
// in this same process under /provider: it takes everybody for the one that `login_hint` names, and asks for nothing.
globalThis.crypto ??= (await import("node:crypto")).webcrypto

const { createServer } = await import("node:http")
const { default: express } = await import("express")
const { ExpressAuth } = await import("@auth/express")
const { default: PostgresAdapter } = await import("@auth/pg-adapter")
const { Pool } = (await import("pg")).default

const { env } = process

const pool = new Pool({ connectionString: env.DATABASE_URL, max: 2 })
// `packages/adapter-pg/schema.sql` of nextauthjs/next-auth: the package brings no migrations.
await pool.query(`
  CREATE TABLE IF NOT EXISTS verification_token (
    identifier TEXT NOT NULL,
    expires TIMESTAMPTZ NOT NULL,
    token TEXT NOT NULL,
    PRIMARY KEY (identifier, token)
  );
  CREATE TABLE IF NOT EXISTS accounts (
    id SERIAL PRIMARY KEY,
    "userId" INTEGER NOT NULL,
    type VARCHAR(255) NOT NULL,
    provider VARCHAR(255) NOT NULL,
    "providerAccountId" VARCHAR(255) NOT NULL,
    refresh_token TEXT,
    access_token TEXT,
    expires_at BIGINT,
    id_token TEXT,
    scope TEXT,
    session_state TEXT,
    token_type TEXT
  );
  CREATE TABLE IF NOT EXISTS sessions (
    id SERIAL PRIMARY KEY,
    "userId" INTEGER NOT NULL,
    expires TIMESTAMPTZ NOT NULL,
    "sessionToken" VARCHAR(255) NOT NULL
  );
  CREATE TABLE IF NOT EXISTS users (
    id SERIAL PRIMARY KEY,
    name VARCHAR(255),
    email VARCHAR(255),
    "emailVerified" TIMESTAMPTZ,
    image TEXT
  );
`)

// The port is part of the provider's addresses, which are part of the configuration: listen first.
const app = express()
const server = createServer(app)
await new Promise((listening) => server.listen(Number(env.PORT ?? 0), "127.0.0.1", listening))
const { port } = server.address()
const provider = `http://127.0.0.1:${port}/provider`

const config = {
  trustHost: true,
  useSecureCookies: env.SECURE_COOKIES === "true",
  adapter: PostgresAdapter(pool),
  session: { strategy: "database" },
  callbacks: {
    // As most apps do: without it, what the app says of a session does not name the user's id.
    session({ session, user }) {
      return { expires: session.expires, user: { id: String(user.id), name: user.name, email: user.email } }
    },
  },
  providers: [
    {
      id: "loopback",
      name: "Loopback",
      type: "oauth",
      clientId: "app",
      clientSecret: "known to both",
      checks: ["pkce", "state"],
      authorization: `${provider}/authorize`,
      token: `${provider}/token`,
      userinfo: `${provider}/userinfo`,
      profile: ({ sub, name, email }) => ({ id: sub, name, email }),
    },
  ],
}

// A pattern with a group: @auth/express finds its base path by cutting off what the group matched.
app.use(/^\/auth\/(.*)$/, ExpressAuth(config))

app.get("/provider/authorize", (request, response) => {
  const { redirect_uri, state, login_hint } = request.query
  response.redirect(`${redirect_uri}?${new URLSearchParams({ code: login_hint, state })}`)
})
app.post("/provider/token", express.urlencoded(), (request, response) => {
  response.json({ access_token: request.body.code, token_type: "bearer" })
})
app.get("/provider/userinfo", (request, response) => {
  const user = request.get("authorization").replace("Bearer ", "")
  response.json({ sub: `account-${user}`, name: user, email: `${user}@example.com` })
})

console.log(`listening ${port}`)
