// Prints TOKEN as the value of a cookie that Better Auth signed under SECRET: node sign.mjs SECRET TOKEN
globalThis.crypto ??= (await import("node:crypto")).webcrypto

const { serializeSignedCookie } = await import("better-call")

const [secret, token] = process.argv.slice(2)
console.log((await serializeSignedCookie("", token, secret)).slice("=".length))
