// Prints the user of the session token in its first argument; prints nothing if the token is invalid.
//
// It uses only modules of Node.js: loading Auth.js or a JOSE library would double the time of a start.
const { createDecipheriv, createHmac, hkdfSync, timingSafeEqual } = require("node:crypto")

const [header, , iv, ciphertext, tag] = process.argv[2].split(".")
const bytes = (text) => Buffer.from(text, "base64url")
const salt = "authjs.session-token"
const key = Buffer.from(
  hkdfSync("sha256", process.env.AUTH_SECRET, salt, `Auth.js Generated Encryption Key (${salt})`, 64),
)
// A256CBC-HS512 of RFC 7518, section 5.2: the MAC over header, IV, ciphertext and the header's length in bits.
const length = Buffer.alloc(8)
length.writeBigUInt64BE(BigInt(header.length * 8))
const mac = createHmac("sha512", key.subarray(0, 32))
for (const part of [header, bytes(iv), bytes(ciphertext), length]) mac.update(part)
if (timingSafeEqual(mac.digest().subarray(0, 32), bytes(tag))) {
  const decipher = createDecipheriv("aes-256-cbc", key.subarray(32), bytes(iv))
  const claims = JSON.parse(Buffer.concat([decipher.update(bytes(ciphertext)), decipher.final()]))
  if (claims.exp > Date.now() / 1000) console.log(claims.sub)
}
