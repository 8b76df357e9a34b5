// A small real Better Auth server on node:http: sign-up and sign-in with e-mail address and password.
//
// PORT (0 takes a free one) says where it listens on loopback; `listening PORT` is printed once it does.
//
// | variable | meaning |
// |---|---|
// | BETTER_AUTH_SECRET, BETTER_AUTH_SECRETS | as Better Auth reads them |
// | DATABASE_URL | PostgreSQL, migrated at start; without it users live in this process, sessions in their cookies |
// | CACHE_STRATEGY | `compact`, `jwt` or `jwe` turns the cookie cache on; unset leaves it to Better Auth |
// | CACHE_MAX_AGE, CACHE_VERSION | its life in seconds, and its version |
// | REDIS_URL | sessions live there: @better-auth/redis-storage |
// | REDIS_PREFIX | what stands before its keys |
// | STORE_IN_DATABASE | `true`: with REDIS_URL, sessions live in the database as well |
// | PRESERVE_IN_DATABASE | `true`: their rows stay there when they have ended |
// | COOKIE_PREFIX, SECURE_COOKIES | `advanced.cookiePrefix`; `true` for `advanced.useSecureCookies` |
// | SESSION_COOKIE, DATA_COOKIE | `advanced.cookies.session_token.name`, and that of `session_data` |
// | EMAIL_VERIFIED | `false`: nobody has verified the addresses of users that sign up; otherwise somebody has |
// | PLUGINS | `anonymous`, for guests, `admin`, who is the user called `admin`, `multi-session`, `organization` and `two-factor`; separated by commas |
//
// A user has one field more than usual, `notes`, so that sessions can be made long.
globalThis.crypto ??= (await import("node:crypto")).webcrypto

const { createServer } = await import("node:http")
const { betterAuth } = await import("better-auth")
const { getMigrations } = await import("better-auth/db/migration")
const { toNodeHandler } = await import("better-auth/node")
const { admin, anonymous, multiSession, organization, twoFactor } = await import("better-auth/plugins")

const { env } = process
const PLUGINS = {
  admin,
  anonymous,
  "multi-session": multiSession,
  organization,
  // Whoever turns it on has it at once, with the backup codes as the second factor.
  "two-factor": () => twoFactor({ skipVerificationOnEnable: true }),
}

// The port is part of the base URL, which is part of the configuration: listen first.
const server = createServer()
await new Promise((listening) => server.listen(Number(env.PORT ?? 0), "127.0.0.1", listening))
const { port } = server.address()

const options = {
  baseURL: `http://127.0.0.1:${port}`,
  emailAndPassword: { enabled: true },
  user: {
    additionalFields: { notes: { type: "string", required: false } },
    deleteUser: { enabled: true },
  },
  databaseHooks: { user: { create: { before: newUser } } },
  plugins: (env.PLUGINS ?? "").split(",").filter(Boolean).map((name) => PLUGINS[name]()),
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  session: {
    ...cookieCache(),
    storeSessionInDatabase: env.STORE_IN_DATABASE === "true",
    preserveSessionInDatabase: env.PRESERVE_IN_DATABASE === "true",
  },
  advanced: {
    useSecureCookies: env.SECURE_COOKIES === "true",
    ...(env.COOKIE_PREFIX && { cookiePrefix: env.COOKIE_PREFIX }),
    cookies: {
      ...(env.SESSION_COOKIE && { session_token: { name: env.SESSION_COOKIE } }),
      ...(env.DATA_COOKIE && { session_data: { name: env.DATA_COOKIE } }),
    },
  },
  ...(await database()),
  ...(await secondaryStorage()),
}

if (options.database) {
  const { runMigrations } = await getMigrations(options)
  await runMigrations()
}

server.on("request", toNodeHandler(betterAuth(options)))
console.log(`listening ${port}`)

async function newUser(user) {
  const emailVerified = env.EMAIL_VERIFIED !== "false" && !user.isAnonymous
  const isAdmin = env.PLUGINS?.includes("admin") && user.name === "admin"
  return { data: { ...user, emailVerified, ...(isAdmin && { role: "admin" }) } }
}

function cookieCache() {
  if (!env.CACHE_STRATEGY) return {}
  return {
    cookieCache: {
      enabled: true,
      strategy: env.CACHE_STRATEGY,
      ...(env.CACHE_MAX_AGE && { maxAge: Number(env.CACHE_MAX_AGE) }),
      ...(env.CACHE_VERSION && { version: env.CACHE_VERSION }),
    },
  }
}

async function database() {
  if (!env.DATABASE_URL) return {}
  const { Pool } = (await import("pg")).default
  return { database: new Pool({ connectionString: env.DATABASE_URL, max: 2 }) }
}

async function secondaryStorage() {
  if (!env.REDIS_URL) return {}
  const { Redis } = await import("ioredis")
  const { redisStorage } = await import("@better-auth/redis-storage")
  const client = new Redis(env.REDIS_URL)
  return { secondaryStorage: redisStorage({ client, ...(env.REDIS_PREFIX && { keyPrefix: env.REDIS_PREFIX }) }) }
}
