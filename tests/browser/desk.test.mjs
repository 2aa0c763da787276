// The desk: each operator's journey, with and without script, on a phone and on a desk, in light and in dark.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { NARROW, PASSWORD, WIDE, api, closeBrowser, logIn, register, send, startServer, violations, visitor } from "./support.mjs";

const HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>";
let server;
before(async () => {
  server = await startServer({
    FARTHING_RISK_NEW_PAYEE: "review above 200",
    FARTHING_SECURITY_FOUR_EYES_ABOVE: "50",
      });
});
after(async () => { await server.stop(); await closeBrowser(); });

const WAYS = [
  { name: "wide, light, with script", viewport: WIDE, colorScheme: "light", javaScriptEnabled: true },
  { name: "narrow, dark, without script", viewport: NARROW, colorScheme: "dark", javaScriptEnabled: false },
];

/** Somebody of the API, with a token. */
async function person(name, role) {
  const email = `${name}@example.org`;
  const made = await api(server, "POST", "/register", { body: { email, password: PASSWORD, name } });
  assert.equal(made.status, 201);
  if (role) {
    const set = server.run("admin", "set-role", "--email", email, "--role", role);
    assert.equal(set.status, 0, set.stderr);
  }
  const login = await api(server, "POST", "/login", { body: { email, password: PASSWORD } });
  return { id: made.body.id, email, token: login.body.access_token };
}

/** An operator at a browser. */
async function operator(name, role, options) {
  const who = await person(name, role);
  const someone = await visitor(server, options);
  await logIn(someone, who.email);
  await someone.page.waitForURL("**/console/");
  return { ...someone, who };
}

async function pay(from, to, amount, more = {}) {
  const body = { amount, currency: "USD", to: to.email ?? to, ...more };
  const paid = await api(server, "POST", "/payment", { token: from.token, key: `${from.id}-${to.email ?? to}-${amount}-${Math.random()}`, body });
  assert.ok(paid.status < 300, JSON.stringify(paid.body));
  return paid.body;
}

for (const [at, way] of WAYS.entries()) {
  test(`a payment under review is let through, and another stopped: ${way.name}`, async () => {
    const [ann, bob] = [await person(`annr${at}`), await person(`bobr${at}`)];
    const first = await pay(ann, bob, "210.00", { description: "For <b>rent</b>" });
    const second = await pay(ann, bob, "220.00");
    assert.equal(first.status, "pending_review");
    const eve = await operator(`evesupport${at}`, "support", way);
    const { page } = eve;
    await page.goto("/console/desk/");
    assert.match(await page.textContent("#waits"), /\d+ payments? to review/);
    await page.click("#waits a");
    const card = page.locator(`#${first.id}`);
    const told = await card.textContent();
    assert.ok(/New payee/.test(told) && told.includes("$210.00") && told.includes("For <b>rent</b>") && told.includes(`annr${at}`), told);
    // Without a note nothing is decided, and Enter decides nothing.
    await card.locator("button:has-text('Let it through')").click();
    assert.match(await page.textContent(`#note-${first.id}-error`), /is required/);
    await page.locator(`#note-${first.id}`).fill("They called");
    await page.locator(`#note-${first.id}`).press("Enter");
    await page.locator(`#${first.id} button:has-text('Let it through')`).click();
    await page.waitForURL("**/reviews?note=approved");
    await page.locator(`#note-${second.id}`).fill("Nobody knows of it");
    await page.locator(`#${second.id} button:has-text('Stop it')`).click();
    await page.waitForURL("**/reviews?note=rejected");
    assert.equal(await page.locator(`#${first.id}, #${second.id}`).count(), 0);
    await page.goto(`/console/desk/payments/${first.id}`);
    assert.match(await page.textContent("#payment"), /Held for review.*Let through.*They called/s);
    assert.match(await page.textContent("#payment"), /Succeeded/);
    await page.goto(`/console/desk/payments/${second.id}`);
    assert.match(await page.textContent("#payment"), /Rejected/);
    await eve.close();
  });

  test(`a payment is found and given back, one that is held released: ${way.name}`, async () => {
    const [ann, bob] = [await person(`annp${at}`), await person(`bobp${at}`)];
    const paid = await pay(ann, bob, "30.00", { reference: `order ${at}` });
    const held = await pay(ann, bob, "40.00", { capture: "manual" });
    const eve = await operator(`evepay${at}`, "support", way);
    const { page } = eve;
    await page.goto("/console/desk/payments");
    await page.click("details.more summary");
    await page.fill("#reference", `order ${at}`);
    await page.click(".filters button");
    assert.equal(await page.locator("#payments tbody tr").count(), 1);
    await page.click("#payments td.end a");
    await page.fill("#amount", "40");
    await page.click("button:has-text('Refund')");
    assert.match(await page.textContent("main"), /must be at most 30\.00 USD/);
    await page.fill("#amount", "12.50");
    await page.fill("#reason", "Half of it was broken");
    await page.click("button:has-text('Refund')");
    await page.waitForURL(`**/payments/${paid.id}?note=refunded`);
    assert.match(await page.textContent("#payment"), /Partially refunded/);
    assert.match(await page.textContent("#payment"), /Paid.*Refund \$12\.50.*Half of it was broken/s);
    await page.goto(`/console/desk/payments?q=${held.id}`);
    assert.match(new URL(page.url()).pathname, new RegExp(held.id));
    await page.click("button:has-text('Void')");
    assert.match(await page.textContent("#payment"), /Voided/);
    assert.equal(await page.locator("main form").count(), 0);
    await page.goto("/console/desk/payments?q=nonsense");
    assert.match(await page.textContent("#q-error"), /must be the id of a payment/);
    await page.goto("/console/desk/payments?currency=JPY");
    assert.match(await page.textContent("#payments"), /No payment is like that/);
    await eve.close();
  });

  test(`a user is frozen, let go, gets a new password and a role: ${way.name}`, async () => {
    const ann = await person(`annu${at}`);
    const eve = await operator(`rootu${at}`, "admin", way);
    const { page } = eve;
    await page.goto("/console/desk/users");
    await page.fill("#q", `annu${at}`);
    await page.click(".filters button");
    await page.click(`#users a:has-text('annu${at}')`);
    assert.match(await page.textContent("#wallets"), /\$1,000\.00/);
    assert.equal(await page.locator("#sessions li").count(), 1);
    await page.click("button:has-text('Freeze')");
    await page.waitForURL("**?note=frozen");
    const refused = await api(server, "POST", "/payment", { token: ann.token, key: "frozen", body: { amount: "1", currency: "USD" } });
    assert.equal(refused.status, 403);
    await page.click("button:has-text('Unfreeze')");
    await page.waitForURL("**?note=unfrozen");
    await page.click("button:has-text('End all sessions')");
    await page.waitForURL("**?note=ended");
    assert.equal((await api(server, "GET", "/me", { token: ann.token })).status, 401);
    await page.click("button:has-text('Make a link')");
    const link = await page.textContent(".notice code");
    const phone = await visitor(server, way);
    await phone.page.goto(link);
    await phone.page.fill("#new_password", "short");
    await phone.page.click("main button[type=submit]");
    assert.ok(await phone.page.textContent("#new_password-error"));
    await phone.page.fill("#new_password", `${PASSWORD} anew`);
    await phone.page.click("main button[type=submit]");
    await phone.page.waitForURL("**/console/login?note=reset");
    await logIn(phone, ann.email, `${PASSWORD} anew`);
    await phone.page.waitForURL("**/console/");
    // It counts once.
    await phone.page.goto(link);
    await phone.page.fill("#new_password", `${PASSWORD} again`);
    await phone.page.click("main button[type=submit]");
    assert.match(await phone.page.textContent("h1"), /does not work any more/);
    await page.goto(`/console/desk/users/${ann.id}`);
    await page.selectOption("#role", "cashier");
    await page.click("button:has-text('Change the role')");
    await page.waitForURL("**?note=role");
    assert.match(await page.textContent("#user"), /Cashier/);
    // Nobody operates on themselves.
    await page.goto(`/console/desk/users/${eve.who.id}`);
    assert.match(await page.textContent("main"), /This is you/);
    assert.equal(await page.locator("main form").count(), 0);
    for (const someone of [eve, phone]) await someone.close();
  });

  test(`cash takes four eyes above an amount: ${way.name}`, async () => {
    const ann = await person(`annc${at}`);
    const one = await operator(`cashone${at}`, "cashier", way);
    const two = await operator(`cashtwo${at}`, "cashier", way);
    const { page } = one;
    const order = async (user, amount, reference, button) => {
      await page.goto("/console/desk/cash");
      await page.fill("#user", user);
      await page.fill("#amount", amount);
      await page.fill("#currency", "USD");
      await page.fill("#reference", reference);
      await page.click(`button:has-text('${button}')`);
    };
    await order("nobody@example.org", "x", "slip", "Take it in");
    assert.ok(await page.textContent("#amount-error"));
    await order("nobody@example.org", "5", "slip", "Take it in");
    assert.match(await page.textContent("#user-error"), /no account/);
    await order(ann.email, "20", `slip ${at}1`, "Take it in");
    await page.waitForURL("**?note=deposit");
    await order(ann.email, "10", `slip ${at}2`, "Pay it out");
    await page.waitForURL("**?note=withdrawal");
    await order(ann.email, "80", `slip ${at}3`, "Take it in");
    await page.waitForURL("**?note=waits");
    assert.match(await page.textContent("main"), /another operator looks at it/);
    await two.page.goto("/console/desk/");
    assert.match(await two.page.textContent("#waits"), /1 cash movement for a second operator/);
    await two.page.click("#waits a");
    await two.page.fill("article input[name=note]", "Counted");
    await two.page.click("article button:has-text('Let it through')");
    await two.page.waitForURL("**?note=approved");
    const login = await api(server, "POST", "/login", { body: { email: ann.email, password: PASSWORD } });
    const wallets = await api(server, "GET", "/wallets", { token: login.body.access_token });
    assert.equal(wallets.body.data[0].balance, "1090.00");

    // The bank's file beside it.
    const today = new Date().toISOString().slice(0, 10);
    await page.goto("/console/desk/reconciliation");
    await page.fill("#from", today);
    await page.fill("#to", today);
    const csv = `reference,amount,currency,date\nslip ${at}1,20.00,USD,${today}\nslip ${at}2,-11.00,USD,${today}\nunknown ${HOSTILE.replaceAll(",", "")},3.00,USD,${today}\n`.replaceAll('"', "");
    await page.setInputFiles("#file", { name: "bank.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
    await page.click("button:has-text('Compare')");
    const result = await page.textContent("#result");
    assert.ok(/1 of 3 lines/.test(result) && /Differing: 1/.test(result) && /Missing: 1/.test(result) && /Extra: \d+/.test(result), result);
    assert.equal(await page.locator("main img").count(), 0);
    assert.deepEqual(way.javaScriptEnabled ? await violations(page) : [], []);
    await page.setInputFiles("#file", { name: "bank.csv", mimeType: "text/csv", buffer: Buffer.from("a,b\n1,2\n") });
    await page.click("button:has-text('Compare')");
    assert.ok(await page.textContent("#file-error"));
    for (const someone of [one, two]) await someone.close();
  });
}

test("two browsers at once: a payment shows up in the overview without a reload", async () => {
  const eve = await operator("evelive", "auditor");
  const carl = await visitor(server);
  await register(carl, "Carllive");
  const { page } = eve;
  await page.goto("/console/desk/overview");
  await page.waitForTimeout(800);
  const before = await page.textContent("#by-day details");
  const loads = [];
  page.on("framenavigated", () => loads.push(page.url()));
  await send(carl, "house", "33.33", "While you look");
  await page.waitForSelector("#latest :text('While you look')", { timeout: 10_000 });
  await page.waitForFunction((old) => document.querySelector("#by-day details").textContent !== old, before);
  assert.deepEqual(loads, []);
  // Events come likewise.
  await page.goto("/console/desk/events?event=authn_login_fail");
  await page.waitForTimeout(800);
  loads.length = 0;
  await api(server, "POST", "/login", { body: { email: "evelive@example.org", password: "not the password at all" } });
  await page.waitForSelector(`#events td a[href='/console/desk/users/${eve.who.id}']`, { timeout: 10_000 });
  assert.deepEqual(loads, []);
  for (const someone of [eve, carl]) await someone.close();
});

test("the books are verified without a reload, and Today says so", async () => {
  const eve = await operator("rootbooks", "admin");
  const { page } = eve;
  await page.goto("/console/desk/audit");
  await page.click("button:has-text('Verify now')");
  await page.waitForSelector("#verification :text('The books balance')", { timeout: 20_000 });
  await page.goto("/console/desk/");
  assert.match(await page.textContent("#books"), /The books balance/);
  assert.doesNotMatch(await page.textContent("#old"), /books/);
  await eve.close();
});

test("a webhook of the house is tried, sent again and switched off", async () => {
  const eve = await operator("roothooks", "admin");
  const { page } = eve;
  await page.goto("/console/desk/webhooks");
  assert.match(await page.textContent("main"), /No webhook yet/);
  await page.click("main a:has-text('Add a webhook')");
  await page.fill("#url", "https://hook.invalid/hook");
  await page.fill("#description", HOSTILE);
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("main"), /whsec_/);
  await page.click("main a:has-text('I have it')");
  await page.goto("/console/desk/webhooks");
  assert.deepEqual(await violations(page), []);
  await page.click("main table a");
  await page.click("button:has-text('Send a test')");
  await page.waitForURL("**?note=tested");
  await page.waitForSelector("#deliveries tbody tr", { timeout: 15_000 });
  assert.equal(await page.textContent(".side a[aria-current]"), "Webhooks");
  assert.deepEqual(await violations(page), []);
  await page.locator("#deliveries button").first().click();
  await page.waitForURL("**?note=again");
  await page.click("button:has-text('Switch it off')");
  await page.waitForURL("**?note=off");
  await page.click("button:has-text('Switch it on')");
  await page.waitForURL("**?note=on");
  await page.goto("/console/desk/webhooks");
  assert.equal(await page.locator("main img").count(), 0);
  await eve.close();
});

const SEEN = {
  support: ["Today", "Overview", "Reviews", "Payments", "Users"],
  cashier: ["Today", "Overview", "Payments", "Users", "Cash", "Reconciliation"],
  auditor: ["Today", "Overview", "Payments", "Users", "Events", "Audit"],
  admin: ["Today", "Overview", "Reviews", "Payments", "Users", "Cash", "Reconciliation", "Events", "Webhooks", "Audit", "Settings"],
};

for (const [role, seen] of Object.entries(SEEN)) {
  test(`what leads where for the role ${role}, and all of it opens`, async () => {
    const eve = await operator(`nav${role}`, role);
    const { page } = eve;
    const links = await page.locator("nav.side ul:last-of-type a").evaluateAll((all) => all.map((link) => [link.textContent, link.getAttribute("href")]));
    assert.deepEqual(links.map(([label]) => label), seen);
    for (const [label, address] of links) {
      const answer = await page.goto(address);
      assert.equal(answer.status(), 200, label);
      assert.equal(await page.locator("nav.side a[aria-current]").textContent(), label);
    }
    await page.keyboard.press("g");
    await page.keyboard.press("t");
    await page.waitForURL("**/console/desk/");
    await eve.close();
  });
}

for (const viewport of [WIDE, NARROW]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every page of the desk can be used by everybody, whatever people write: ${viewport.width} px, ${colorScheme}`, async () => {
      const name = `${viewport.width}${colorScheme}`;
      const email = `mallory${name}@example.org`;
      const made = await api(server, "POST", "/register", { body: { email, password: PASSWORD, name: HOSTILE } });
      const login = await api(server, "POST", "/login", { body: { email, password: PASSWORD } });
      const mallory = { id: made.body.id, email, token: login.body.access_token };
      const bob = await person(`bobaxe${name}`);
      const said = { description: HOSTILE, reference: HOSTILE, metadata: { [HOSTILE.slice(0, 40)]: HOSTILE } };
      const plain = await pay(mallory, "house", "12.00", said);
      const held = await pay(mallory, bob, "250.00", said);
      await pay(mallory, "house", "1234567.89").catch(() => null);
      const eve = await operator(`rootaxe${name}`, "admin", { viewport, colorScheme });
      const cashier = await person(`cashaxe${name}`, "cashier");
      const waits = await api(server, "POST", "/admin/deposits", { token: cashier.token, key: `waits-${name}`, body: { user: mallory.id, amount: "70", currency: "USD", reference: HOSTILE } });
      assert.equal(waits.status, 202, JSON.stringify(waits.body));
      await api(server, "POST", "/login", { body: { email, password: HOSTILE } });
      const { page } = eve;
      const paths = ["", "overview", "reviews", "payments", "payments?status=declined&metadata_key=x", `payments?user=${mallory.id}`,
        `payments/${plain.id}`, `payments/${held.id}`, "users", `users?q=${encodeURIComponent(HOSTILE)}`, `users/${mallory.id}`,
        `users/${eve.who.id}`, "cash", "reconciliation", "events", `events?user=${mallory.id}`, "events?user=nonsense", "webhooks", "audit", "settings"];
      for (const path of paths) {
        await page.goto(`/console/desk/${path}`);
        assert.deepEqual(await violations(page), [], path);
        assert.equal(await page.locator("main img").count(), 0, path);
        const { scroll, width } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: innerWidth }));
        assert.ok(scroll <= width, `${path} is ${scroll} px wide in ${width}`);
        const size = (await page.content()).length;
        assert.ok(size < 200_000, `${path}: ${size}`);
        if (process.env.SHOTS) {
          const shot = path.replace(/[^a-z0-9]+/gi, "-").slice(0, 30) || "today";
          await page.screenshot({ path: `${process.env.SHOTS}/${shot}-${name}.png`, fullPage: true });
        }
      }
      // Forms with errors in them are pages of their own.
      await page.goto("/console/desk/cash");
      await page.click("button:has-text('Take it in')");
      assert.deepEqual(await violations(page), []);
      await page.goto("/console/desk/reviews");
      await page.locator(`#${held.id} button:has-text('Stop it')`).click();
      assert.deepEqual(await violations(page), []);
      await eve.close();
    });
  }
}
