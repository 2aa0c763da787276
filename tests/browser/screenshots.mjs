// The pictures of the README, made anew: node screenshots.mjs [FOLDER] in this folder, after npm ci and
// cargo build. A server of its own gets a little life first; six pages are taken, small, in light and in dark.
import { mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { PASSWORD, api, closeBrowser, logIn, startServer, visitor } from "./support.mjs";

const FOLDER = process.argv[2] ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../docs/screenshots");
const DESK = { width: 1100, height: 720 };
const PHONE = { width: 360, height: 720 };

const server = await startServer({
  FARTHING_SERVER_HOUSE_NAME: "The Corner Café",
  FARTHING_RISK_NEW_PAYEE: "review above 200",
  FARTHING_SECURITY_FOUR_EYES_ABOVE: "50",
});

async function person(name, role) {
  const email = `${name.toLowerCase()}@example.org`;
  await api(server, "POST", "/register", { body: { email, password: PASSWORD, name } });
  if (role) server.run("admin", "set-role", "--email", email, "--role", role);
  const login = await api(server, "POST", "/login", { body: { email, password: PASSWORD } });
  return { email, id: login.body.user.id, token: login.body.access_token };
}

let keys = 0;
async function call(who, target, body) {
  keys += 1;
  const answer = await api(server, "POST", target, { token: who.token, key: `k${keys}`, body });
  if (answer.status >= 300 && answer.status !== 402) throw new Error(`${target}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}
const pay = (from, to, amount, description, more = {}) =>
  call(from, "/payment", { amount, currency: "USD", ...(to && { to: to.email }), description, ...more });

const [ann, ben, cleo, olga, otto] =
  [await person("Ann"), await person("Ben"), await person("Cleo"), await person("Olga", "admin"), await person("Otto", "cashier")];
for (const [currency, amount] of [["EUR", "84.50"], ["JPY", "12000"]]) await call(ann, "/topup", { amount, currency });
await pay(ann, null, "4.20", "Flat white");
await pay(ann, ben, "18.00", "Lunch on Friday");
await pay(ben, ann, "6.50", "Half of the taxi");
await pay(ann, cleo, "35.00", "Concert ticket");
await pay(cleo, null, "12.75", "Cake for six");
await pay(ben, cleo, "5000.00", "A boat");
const held = await pay(ann, ben, "25.00", "Deposit for the bicycle", { capture: "manual" });
await call(ben, `/payment/${held.id}/capture`, { amount: "20.00" });
await pay(cleo, ben, "240.00", "Camera");
await pay(ben, ann, "310.00", "Rent");
await call(otto, "/admin/deposits", { user: ben.email, amount: "80.00", currency: "USD", reference: "Till 2, slip 17" });
const asked = await call(ann, "/requests", { amount: "12.50", currency: "USD", description: "Pizza, your share" });
await call(cleo, `/requests/${asked.id}/pay`, {});
const open = await call(ann, "/requests", { amount: "12.50", currency: "USD", description: "Pizza, your share" });
for (let n = 0; n < 30; n += 1) await pay([ann, ben, cleo][n % 3], n % 2 ? null : [ben, cleo, ann][n % 3], `${1 + (n * 7) % 9}.${10 + n}`, "Coffee");
await api(server, "POST", "/login", { body: { email: ann.email, password: "not hers at all" } });

mkdirSync(FOLDER, { recursive: true });
for (const [name, who, address, options] of [
  ["wallet", ann, "/console/", { viewport: PHONE }],
  ["request", ann, `/console/requests/${open.id}`, { viewport: PHONE, colorScheme: "dark" }],
  ["payment", ann, `/console/payments/${held.id}`, { viewport: PHONE }],
  ["today", olga, "/console/desk/", { viewport: DESK }],
  ["overview", olga, "/console/desk/overview", { viewport: DESK, colorScheme: "dark" }],
  ["reviews", olga, "/console/desk/reviews", { viewport: DESK }],
]) {
  const someone = await visitor(server, options);
  await logIn(someone, who.email);
  await someone.page.waitForURL("**/console/");
  await someone.page.goto(address);
  await someone.page.waitForTimeout(1_500);
  await someone.page.goto(address);
  await someone.page.screenshot({ path: path.join(FOLDER, `${name}.png`) });
  await someone.close();
}
await server.stop();
await closeBrowser();
