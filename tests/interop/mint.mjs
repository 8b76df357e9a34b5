// Mints session tokens with the incumbents' own code.
//
// Reads one JSON object per line and prints one token per line, in order:
//   {"format":"authjs5"|"nextauth4"|"signed", "secret":…, "salt":…, "claims":{…}, "maxAge":seconds, "alg":…}
// `secret` is a string, or for authjs5 also a list, newest first. `salt` is the cookie name for authjs5 and absent
// for nextauth4, whose session token is derived without one.
//
// `signed` is what applications put in place of `encode()` when other services are to read their sessions: a JWT, which
// `alg` (HS256, HS384 or HS512) and the secret itself sign; without `maxAge` it never ends.
import { createInterface } from "node:readline"

// Node 18 has Web Crypto, but not under its global name; both libraries read it when they are loaded.
globalThis.crypto ??= (await import("node:crypto")).webcrypto

const encoders = {
  authjs5: (await import("@auth/core/jwt")).encode,
  nextauth4: (await import("next-auth/jwt")).default.encode,
  signed,
}

const { SignJWT } = await import("jose")

function signed({ token, secret, alg, maxAge }) {
  const jwt = new SignJWT(token).setProtectedHeader({ alg, typ: "JWT" }).setIssuedAt()
  if (maxAge) jwt.setExpirationTime(Math.floor(Date.now() / 1000) + maxAge)
  return jwt.sign(new TextEncoder().encode(secret))
}

for await (const line of createInterface({ input: process.stdin })) {
  const { format, claims, ...rest } = JSON.parse(line)
  console.log(await encoders[format]({ token: claims, ...rest }))
}
