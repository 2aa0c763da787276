// Reads signed messages from standard input and verifies them as a receiver would, then each with one byte altered.
const { Webhook } = require("standardwebhooks");
const crypto = require("node:crypto");

const cases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
let verified = 0;
let rejected = 0;
const faults = [];

function accepts(secret, id, timestamp, signature, body) {
  try {
    new Webhook(secret).verify(body, {
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": signature,
    });
    return true;
  } catch {
    return false;
  }
}

function acceptsAsymmetric(publicKey, id, timestamp, signature, body) {
  const raw = Buffer.from(publicKey.slice("whpk_".length), "base64");
  const key = crypto.createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") },
    format: "jwk",
  });
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  return crypto.verify(null, content, key, Buffer.from(signature.slice("v1a,".length), "base64"));
}

for (const { id, timestamp, body, secrets, signature, public_key, asymmetric } of cases) {
  const bytes = Buffer.from(body);
  for (const secret of secrets) {
    if (accepts(secret, id, `${timestamp}`, signature, bytes.toString())) verified += 1;
    else faults.push(`${id} was not accepted`);
  }
  if (acceptsAsymmetric(public_key, id, timestamp, asymmetric, bytes)) verified += 1;
  else faults.push(`${id} was not accepted with its public key`);

  const refuse = (what, isAccepted) => {
    if (isAccepted) faults.push(`${id} was accepted with another ${what}`);
    else rejected += 1;
  };
  for (let at = 0; at < bytes.length; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const altered = Buffer.from(bytes);
      altered[at] ^= 1 << bit;
      // As latin1 where it is no UTF-8 any more: the library takes text.
      const text = altered.toString("latin1") === altered.toString() ? altered.toString() : altered.toString("latin1");
      refuse(`body (${at}, ${bit})`, accepts(secrets[0], id, `${timestamp}`, signature, text));
      refuse(`body (${at}, ${bit})`, acceptsAsymmetric(public_key, id, timestamp, asymmetric, altered));
    }
  }
  for (let at = 0; at < id.length; at += 1) {
    const other = id.slice(0, at) + (id[at] === "z" ? "y" : "z") + id.slice(at + 1);
    refuse("id", accepts(secrets[0], other, `${timestamp}`, signature, body));
  }
  for (const other of [timestamp - 1, timestamp + 1]) {
    refuse("timestamp", accepts(secrets[0], id, `${other}`, signature, body));
  }
  const first = signature.split(" ")[0];
  for (let at = "v1,".length; at < first.length - 2; at += 1) {
    const other = first.slice(0, at) + (first[at] === "A" ? "B" : "A") + first.slice(at + 1);
    refuse("signature", accepts(secrets[0], id, `${timestamp}`, other, body));
  }
  const strange = "whsec_" + crypto.randomBytes(32).toString("base64");
  refuse("secret", accepts(strange, id, `${timestamp}`, signature, body));
}

if (rejected < 1000) faults.push(`only ${rejected} altered messages were tried`);
console.log(`${verified} messages verified, ${rejected} altered ones rejected`);
for (const fault of faults) console.log(fault);
process.exit(faults.length === 0 ? 0 : 1);
