// Second factors, API keys and webhooks: set up, shown once, used, taken away.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { NARROW, PASSWORD, WIDE, api, closeBrowser, register, startServer, violations, visitor } from "./support.mjs";

const HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>";
let server;
let hook;
let hookAddress;
const got = [];
before(async () => {
  hook = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      got.push(request.headers);
      response.end(HOSTILE);
    });
  });
  await new Promise((resolve) => hook.listen(0, "127.0.0.1", resolve));
  hookAddress = `http://127.0.0.1:${hook.address().port}/hook`;
  server = await startServer({
    FARTHING_SECURITY_STEP_UP_ABOVE: "100",
    FARTHING_WEBHOOKS_ALLOW_PRIVATE_ADDRESSES: "true",
    FARTHING_WEBHOOKS_PORTS: String(hook.address().port),
  });
});
after(async () => { hook.close(); await server.stop(); await closeBrowser(); });

/** The code of an authenticator app (RFC 6238), so many steps from now. */
function code(secret, later = 0) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((letter) => letters.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const digest = createHmac("sha1", key).update(counter).digest();
  const offset = digest[19] & 15;
  return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** Sets a second factor up through the console; gives the recovery codes. */
async function setUp(page) {
  await page.goto("/console/security");
  await page.click("main a[href='/console/security/totp']");
  await page.click("main button[type=submit]");
  assert.equal(await page.locator(".code svg").count(), 1);
  const secret = await page.textContent(".shared code");
  await page.fill("#otp", "000000");
  await page.click("form[action$='/confirm'] button");
  assert.match(await page.textContent("#otp-error"), /wrong/);
  assert.equal(await page.textContent(".shared code"), secret);
  await page.fill("#otp", code(secret));
  await page.click("form[action$='/confirm'] button");
  const codes = await page.locator(".secrets code").allTextContents();
  assert.equal(codes.length, 10);
  return codes;
}

const WAYS = [
  { name: "wide, light, with script", viewport: WIDE, colorScheme: "light", javaScriptEnabled: true },
  { name: "narrow, dark, without script", viewport: NARROW, colorScheme: "dark", javaScriptEnabled: false },
];

for (const [at, way] of WAYS.entries()) {
  const me = ["Ann", "Anna"][at];
  const mine = `${me.toLowerCase()}@example.org`;

  test(`a second factor is set up, asked for, and switched off: ${way.name}`, async () => {
    const ann = await visitor(server, way);
    const { page } = ann;
    await register(ann, me);
    const codes = await setUp(page);
    await page.goto("/console/security/totp");
    assert.match(await page.textContent(".facts"), /10/);
    assert.equal(await page.locator(".secrets").count(), 0);

    // A large payment asks for a code, and goes on with what was typed.
    await page.goto("/console/send");
    await page.fill("#to", "house");
    await page.fill("#amount", "150");
    await page.fill("#description", "Rent");
    await page.click("main button[type=submit]");
    await page.click("main button[type=submit]");
    assert.match(await page.textContent("#otp-error"), /needed/);
    assert.match(await page.textContent("main"), /Rent/);
    await page.fill("#otp", codes[0]);
    await page.click("main button[type=submit]");
    await page.waitForURL("**/console/payments/**");

    // So does a new password, and a login.
    await page.goto("/console/security");
    await page.fill("#current_password", PASSWORD);
    await page.fill("#otp", codes[1]);
    await page.fill("#new_password", `${PASSWORD} and more`);
    await page.click("form[action='/console/security/password'] button");
    assert.match(await page.textContent("main"), /Your password is changed/);
    const phone = await visitor(server, way);
    await phone.page.goto("/console/login");
    await phone.page.fill("#email", mine);
    await phone.page.fill("#password", `${PASSWORD} and more`);
    await phone.page.click("main button[type=submit]");
    assert.match(await phone.page.textContent("#otp-error"), /needed/);
    await phone.page.fill("#password", `${PASSWORD} and more`);
    await phone.page.fill("#otp", codes[2]);
    await phone.page.click("main button[type=submit]");
    await phone.page.waitForURL("**/console/");

    await page.goto("/console/security/totp");
    assert.match(await page.textContent(".facts"), /7/);
    await page.fill("#password", `${PASSWORD} and more`);
    await page.click("text=Switch it off >> nth=-1");
    assert.match(await page.textContent("main"), /switched off/);
    for (const someone of [ann, phone]) await someone.close();
  });

  test(`a key is made, shown once, replaced and revoked: ${way.name}`, async () => {
    const bob = await visitor(server, way);
    const { page } = bob;
    await register(bob, ["Bob", "Bobby"][at]);
    await page.goto("/console/keys");
    await page.click("main a.button");
    await page.fill("#name", "The shop");
    await page.click("main button[type=submit]");
    const key = await page.textContent(".secret code");
    const wallets = await api(server, "GET", "/wallets", { token: key });
    assert.equal(wallets.status, 200);
    assert.equal((await api(server, "POST", "/topup", { token: key, body: { amount: "1", currency: "USD" } })).status, 403);
    await page.reload();
    assert.ok(!(await page.textContent("body")).includes(key));
    await page.goto("/console/keys");
    assert.equal(await page.locator("tbody tr").count(), 1);
    await page.click("tbody a");
    await page.selectOption("#overlap", "0");
    await page.click("form[action$='/rotate'] button");
    const next = await page.textContent(".secret code");
    assert.notEqual(next, key);
    assert.equal((await api(server, "GET", "/wallets", { token: key })).status, 401);
    await page.click("main a.button");
    await page.click("tbody a");
    await page.click("form[action$='/revoke'] button");
    assert.match(await page.textContent("main"), /The key is revoked/);
    assert.equal((await api(server, "GET", "/wallets", { token: next })).status, 401);
    await bob.close();
  });

  test(`a webhook is added, tested, sent again and deleted: ${way.name}`, async () => {
    const carl = await visitor(server, way);
    const { page } = carl;
    await register(carl, ["Carl", "Carla"][at]);
    await page.goto("/console/webhooks");
    await page.click("main a.button");
    await page.fill("#url", "https://localhost/");
    await page.click("main button[type=submit]");
    assert.ok(await page.textContent("#url-error"));
    await page.fill("#url", hookAddress);
    await page.fill("#description", HOSTILE.slice(0, 60));
    await page.click("main button[type=submit]");
    assert.match(await page.textContent(".secret code"), /^whsec_/);
    await page.click("main a.button");
    got.length = 0;
    await page.click("text=Send a test >> nth=0");
    assert.match(await page.textContent("main"), /A test is on its way/);
    const own = page.url().split("?")[0];
    for (let tries = 0; tries < 100 && !(await page.locator("tbody tr:has-text('webhook.test') .badge.good").count()); tries += 1) {
      await page.waitForTimeout(100);
      await page.goto(`${own}?type=webhook.test`);
    }
    assert.match(await page.textContent("#deliveries"), /webhook\.test/);
    assert.equal(got[0]["user-agent"]?.startsWith("Farthing"), true, JSON.stringify(got[0]));
    await page.click("details.tries summary");
    assert.match(await page.textContent("details.tries pre"), /onerror=alert/);
    assert.equal(await page.locator("img").count(), 0);
    await page.click("tbody button");
    await page.waitForURL("**note=again");
    await page.selectOption("#status", "failed");
    await page.click(".filters button");
    assert.match(await page.textContent("#deliveries"), /No delivery is like that/);
    await page.click("text=Switch it off");
    assert.match(await page.textContent("main"), /It is switched off/);
    await page.click("form[action$='/secret'] button");
    assert.match(await page.textContent(".secret code"), /^whsec_/);
    await page.click("main a.button");
    await page.click("form[action$='/delete'] button");
    assert.match(await page.textContent("main"), /The webhook is gone/);
    await carl.close();
  });
}

for (const viewport of [WIDE, NARROW]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every page of settings can be used by everybody: ${viewport.width} px, ${colorScheme}`, async () => {
      const someone = await visitor(server, { viewport, colorScheme });
      const { page } = someone;
      await register(someone, `Dora${viewport.width}${colorScheme}`.replace(/\d/g, (digit) => "abcdefghij"[digit]));
      const fits = async (path) => {
        assert.deepEqual(await violations(page), [], path);
        assert.equal(await page.locator("img").count(), 0, path);
        const { scroll, width } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: innerWidth }));
        assert.ok(scroll <= width, `${path} is ${scroll} px wide in ${width}`);
      };
      for (const path of ["/console/security/totp", "/console/keys", "/console/keys/new", "/console/webhooks", "/console/webhooks/new"]) {
        await page.goto(path);
        await fits(path);
      }
      await page.fill("#url", hookAddress);
      await page.fill("#description", HOSTILE);
      await page.click("main button[type=submit]");
      await fits("a webhook's secret");
      await page.click("main a.button");
      await page.click("text=Send a test >> nth=0");
      await fits("a webhook");
      await page.waitForTimeout(1500);
      await page.goto(page.url().split("?")[0]);
      await fits("a webhook with deliveries");
      await page.goto("/console/webhooks");
      await fits("webhooks");
      await page.goto("/console/keys/new");
      await page.fill("#name", HOSTILE);
      await page.click("main button[type=submit]");
      await fits("a key's secret");
      await page.goto("/console/keys");
      await fits("keys");
      await page.click("tbody a");
      await fits("a key");
      await page.goto("/console/security/totp");
      await page.click("main button[type=submit]");
      await fits("a factor that is begun");
      await page.fill("#otp", code(await page.textContent(".shared code")));
      await page.click("form[action$='/confirm'] button");
      await fits("recovery codes");
      for (const path of ["/console/security/totp", "/console/security", "/console/keys/new"]) {
        await page.goto(path);
        await fits(path);
      }
      await someone.close();
    });
  }
}

test("a page of settings is small", async () => {
  const ida = await visitor(server);
  await register(ida, "Ida");
  const { page } = ida;
  for (const path of ["/console/requests", "/console/security/totp", "/console/keys/new", "/console/webhooks/new"]) {
    const sizes = [];
    const counted = (response) => sizes.push(response.body().then((body) => body.length).catch(() => 0));
    page.on("response", counted);
    await page.goto(path, { waitUntil: "load" });
    page.off("response", counted);
    const total = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    assert.ok(total > 0 && total < 100_000, `${path}: ${total} bytes`);
  }
  await ida.close();
});
