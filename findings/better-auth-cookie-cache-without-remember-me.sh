#!/usr/bin/env bash
# Better Auth 1.7.25, sign-in with `rememberMe: false`, cookie cache enabled with `maxAge: 600`.
#
# Seen: the cache in the cookie counts for 600 s when the user asks to be remembered. When not, its life is no longer the
# configured one, and depends on the strategy: 60 s for `compact` (the default), 300 s for `jwt` and `jwe`. Once it has ended,
# `get-session` still answers with the session, out of the store, but removes the cache and never writes another one.
#
# It matters to whoever reads the session from the cookie cache alone: such a user is signed in for days in the app, and for
# one to five minutes everywhere else. A reader needs the session store for these sessions.
#
# Needs node and npm. Exits with an error when the behavior differs from what is described here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund better-auth@1.7.25
cat >probe.mjs <<'JS'
import assert from "node:assert/strict";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { symmetricDecodeJWT } from "better-auth/crypto";

const secret = "a secret of no importance, 32 bytes or more";
const person = { email: "ada@example.com", password: "correct horse battery", name: "Ada" };
const realNow = Date.now;

function app(strategy) {
  return betterAuth({
    baseURL: "http://localhost:3000",
    secret,
    database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
    emailAndPassword: { enabled: true },
    session: { cookieCache: { enabled: true, maxAge: 600, strategy } },
    rateLimit: { enabled: false },
    logger: { disabled: true },
  });
}

const cookies = (answer) =>
  answer.headers.getSetCookie().map((line) => {
    const [pair] = line.split(";");
    const at = pair.indexOf("=");
    return [pair.slice(0, at), decodeURIComponent(pair.slice(at + 1))];
  });

async function call(auth, path, body, jar = []) {
  const cookie = jar.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("; ");
  const headers = { "content-type": "application/json", origin: "http://localhost:3000", cookie };
  const init = body ? { method: "POST", body: JSON.stringify(body), headers } : { headers };
  const answer = await auth.handler(new Request(`http://localhost:3000/api/auth${path}`, init));
  assert.equal(answer.status, 200, `${path} answers ${answer.status}`);
  return answer;
}

async function lifeOf(cache, strategy) {
  if (strategy === "compact") {
    const { expiresAt, session } = JSON.parse(Buffer.from(cache, "base64url").toString());
    return Math.round((expiresAt - session.updatedAt) / 1000);
  }
  const claims =
    strategy === "jwt"
      ? JSON.parse(Buffer.from(cache.split(".")[1], "base64url").toString())
      : await symmetricDecodeJWT(cache, secret, "better-auth-session");
  return claims.exp - claims.iat;
}

const NAME = "better-auth.session_data";
for (const [strategy, forgotten] of [["compact", 60], ["jwt", 300], ["jwe", 300]]) {
  const auth = app(strategy);
  await call(auth, "/sign-up/email", person);
  const lives = {};
  const rewritten = {};
  let jar;
  for (const rememberMe of [true, false]) {
    jar = cookies(await call(auth, "/sign-in/email", { ...person, rememberMe }));
    lives[rememberMe] = await lifeOf(new Map(jar).get(NAME), strategy);
    const rest = jar.filter(([name]) => name !== NAME);
    rewritten[rememberMe] = Boolean(new Map(cookies(await call(auth, "/get-session", undefined, rest))).get(NAME));
  }
  console.log(`${strategy}: remembered ${lives.true} s, not remembered ${lives.false} s`);
  assert.deepEqual(lives, { true: 600, false: forgotten });
  console.log(`  without a cache, get-session writes one: remembered ${rewritten.true}, not remembered ${rewritten.false}`);
  assert.deepEqual(rewritten, { true: true, false: false });

  Date.now = () => realNow() + (forgotten + 1) * 1000;
  const answer = await call(auth, "/get-session", undefined, jar);
  Date.now = realNow;
  const after = new Map(cookies(answer));
  const { user } = await answer.json();
  console.log(`  after that: session of ${user.email}, cache ${JSON.stringify(after.get(NAME) ?? null)}`);
  assert.equal(user.email, person.email);
  assert.ok(!after.get(NAME), "the cache is written anew");
}
console.log("as described");
JS
node probe.mjs
