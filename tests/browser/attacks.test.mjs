// What other sites and other people may try, in a real browser.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { PASSWORD, api, closeBrowser, logIn, register, startServer, visitor } from "./support.mjs";

const HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>";
let server;
let evil;
let evilAddress;
let evilPage = "";
before(async () => {
  server = await startServer();
  evil = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(evilPage);
  });
  await new Promise((resolve) => evil.listen(0, "127.0.0.1", resolve));
  evilAddress = `http://localhost:${evil.address().port}`;
});
after(async () => { evil.close(); await server.stop(); await closeBrowser(); });

test("a form on another site moves no money", async () => {
  const ann = await visitor(server);
  await register(ann, "Ann");
  const page = await ann.context.newPage();
  const fields = { to: "house", amount: "100", currency: "USD", nonce: "n", form_token: "x" };
  const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`).join("");
  evilPage = `<form method="post" action="${server.address}/console/send/confirm">${inputs}<button>win</button></form>`;
  // From another site the browser does not even bring the cookie; from another port of this one it does, and is told no.
  for (const [address, status] of [[evilAddress, 303], [evilAddress.replace("localhost", "127.0.0.1"), 403]]) {
    await page.goto(address);
    const answered = page.waitForResponse((response) => response.url().includes("/console/send/confirm"));
    await page.click("button");
    const answer = await answered;
    assert.equal(answer.status(), status, address);
    if (status === 303) assert.match(answer.headers().location, /^\/console\/login/);
  }
  await ann.page.goto("/console/");
  assert.match(await ann.page.textContent("#wallets"), /\$1,000\.00/);
  await ann.close();
});

test("no page stands in a frame", async () => {
  const bob = await visitor(server);
  await register(bob, "Bob");
  const page = await bob.context.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  evilPage = `<iframe src="${server.address}/console/send"></iframe>`;
  await page.goto(evilAddress);
  await page.waitForTimeout(500);
  assert.ok(said.some((text) => text.includes("frame-ancestors")), said.join("\n"));
  const framed = page.frames().find((frame) => frame !== page.mainFrame());
  assert.ok(!(await framed.content().catch(() => "")).includes("Send money"));
  await bob.close();
});

test("a script cannot read the session, and a planted one is not used", async () => {
  const eve = await api(server, "POST", "/register", { body: { email: "eve@example.org", password: PASSWORD } });
  assert.equal(eve.status, 201);
  const login = await api(server, "POST", "/login", { body: { email: "eve@example.org", password: PASSWORD } });
  const carl = await visitor(server);
  await register(carl, "Carl");
  assert.equal(await carl.page.evaluate(() => document.cookie), "");
  const cookies = await carl.context.cookies();
  const session = cookies.find((cookie) => cookie.name === "farthing");
  assert.ok(session.httpOnly && session.sameSite === "Lax" && session.path === "/" && !session.domain.startsWith("."));
  // Somebody plants their own session: what is logged in afterwards is another.
  await carl.context.addCookies([{ ...session, value: login.body.access_token }]);
  await carl.page.goto("/console/login?next=/console/help");
  await carl.page.fill("#email", "carl@example.org");
  await carl.page.fill("#password", PASSWORD);
  await carl.page.click("main button[type=submit]");
  const now = (await carl.context.cookies()).find((cookie) => cookie.name === "farthing");
  assert.notEqual(now.value, login.body.access_token);
  await carl.page.goto("/console/");
  assert.match(await carl.page.textContent(".menu"), /carl@example\.org/);
  await carl.close();
});

test("what people write is text, wherever a page shows it", async () => {
  const mallory = await api(server, "POST", "/register", { body: { email: "mallory@example.org", password: PASSWORD, name: HOSTILE } });
  assert.equal(mallory.status, 201);
  const dora = await visitor(server);
  await register(dora, "Dora");
  const login = await api(server, "POST", "/login", { body: { email: "mallory@example.org", password: PASSWORD } });
  const paid = await api(server, "POST", "/payment", {
    token: login.body.access_token,
    key: "hostile",
    body: { amount: "5", currency: "USD", to: "dora@example.org", description: HOSTILE, reference: HOSTILE, metadata: { [HOSTILE.slice(0, 40)]: HOSTILE } },
  });
  assert.equal(paid.status, 201);
  const twice = await visitor(server, { userAgent: HOSTILE });
  await logIn(twice, "dora@example.org");
  for (const path of ["/console/", "/console/history", `/console/payments/${paid.body.id}`, "/console/security", "/console/activity"]) {
    await dora.page.goto(path);
    await dora.page.waitForTimeout(100);
    assert.equal(await dora.page.locator("img").count(), 0, path);
  }
  assert.match(await dora.page.goto(`/console/payments/${paid.body.id}`).then(() => dora.page.textContent("main")), /onerror=alert/);
  const query = encodeURIComponent(HOSTILE);
  for (const path of [`/console/history?q=${query}`, `/console/send?to=${query}&description=${query}`, `/console/login?next=${query}`, `/console/history?type=${query}`]) {
    await dora.page.goto(path);
    assert.equal(await dora.page.locator("img").count(), 0, path);
  }
  for (const someone of [dora, twice]) await someone.close();
});
