// The wallet: each journey, with and without script, on a phone and on a desk, in light and in dark.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { NARROW, PASSWORD, WIDE, api, closeBrowser, logIn, register, send, startServer, violations, visitor } from "./support.mjs";

let server;
before(async () => { server = await startServer(); });
after(async () => { await server.stop(); await closeBrowser(); });

const WAYS = [
  { name: "wide, light, with script", viewport: WIDE, colorScheme: "light", javaScriptEnabled: true },
  { name: "narrow, dark, without script", viewport: NARROW, colorScheme: "dark", javaScriptEnabled: false },
];

for (const [at, way] of WAYS.entries()) {
  const me = ["Ann", "Anna"][at];
  const other = ["Bob", "Bobby"][at];
  const mine = `${me.toLowerCase()}@example.org`;
  const theirs = `${other.toLowerCase()}@example.org`;

  test(`register, send, look and log out: ${way.name}`, async () => {
    const bob = await visitor(server);
    await register(bob, other);
    const ann = await visitor(server, way);
    const { page } = ann;
    await register(ann, me);
    assert.match(await page.textContent("#wallets"), /\$1,000\.00 USD/);

    // Errors stand beside their fields, and what was typed stays.
    await page.goto("/console/send");
    await page.fill("#to", "nobody@example.org");
    await page.fill("#amount", "1");
    await page.click("main button[type=submit]");
    assert.match(await page.textContent("#to-error"), /No account/);
    assert.equal(await page.inputValue("#to"), "nobody@example.org");
    assert.equal(await page.getAttribute("#to", "aria-invalid"), "true");

    // The step in between names who gets what; a reload of what follows pays nothing.
    await page.fill("#to", theirs);
    await page.fill("#amount", "12.50");
    await page.fill("#description", "Lunch <b>on</b> Friday");
    await page.click("main button[type=submit]");
    const asked = await page.textContent("main");
    assert.ok(asked.includes(other) && asked.includes("$12.50") && asked.includes("Lunch <b>on</b> Friday"), asked);
    await page.click("main button[type=submit]");
    await page.waitForURL("**/console/payments/**");
    const paid = new URL(page.url()).pathname;
    await page.reload();
    await page.goto("/console/");
    assert.match(await page.textContent("#wallets"), /\$987\.50/);

    // The history: found, filtered, told when nothing is like that.
    await page.goto("/console/history");
    assert.match(await page.textContent("#movements"), new RegExp(`To ${other}`));
    assert.ok(await page.getAttribute("#movements time", "title"));
    await page.selectOption("#type", "topup");
    await page.click(".filters button");
    assert.match(await page.textContent("#movements"), /No movement is like that/);
    await page.goto(`/console/history?q=${paid.split("/").pop()}`);
    assert.equal(new URL(page.url()).pathname, paid);

    // A declined payment is kept and says why.
    await send(ann, theirs, "5000");
    assert.match(await page.textContent("main"), /Declined: not enough money/);

    // Security: another session is seen and ended; the password is changed.
    const phone = await visitor(server);
    await logIn(phone, mine);
    await page.goto("/console/security");
    assert.equal(await page.locator("#sessions li").count(), 2);
    await page.click("#sessions button");
    assert.match(await page.textContent("main"), /That session has ended/);
    await phone.page.goto("/console/history");
    assert.match(phone.page.url(), /\/console\/login\?next=/);
    await page.fill("#current_password", PASSWORD);
    await page.fill("#new_password", `${PASSWORD} and more`);
    await page.click("form[action='/console/security/password'] button");
    assert.match(await page.textContent("main"), /Your password is changed/);
    await logIn(phone, mine, `${PASSWORD} and more`);
    assert.match(await phone.page.textContent("h1"), /Wallet/);

    // Out, and what was open is closed.
    await page.click("details.me summary");
    await page.click("details.me button");
    assert.match(await page.textContent("main"), /You are logged out/);
    await page.goto("/console/");
    assert.match(page.url(), /\/console\/login/);
    for (const someone of [ann, bob, phone]) await someone.close();
  });
}

test("a double click pays once", async () => {
  const eve = await visitor(server);
  await register(eve, "Eve");
  const { page } = eve;
  await page.goto("/console/send");
  await page.fill("#to", "house");
  await page.fill("#amount", "7");
  await page.click("main button[type=submit]");
  await page.waitForSelector("h1:has-text('Is this right?')");
  await page.dblclick("main button[type=submit]");
  await page.waitForURL("**/console/payments/**");
  await page.goto("/console/");
  assert.match(await page.textContent("#wallets"), /\$993\.00/);
  await eve.close();
});

test("two browsers at once: money shows up without a reload", async () => {
  const carl = await visitor(server);
  const dora = await visitor(server);
  await register(carl, "Carl");
  await register(dora, "Dora");
  await dora.page.goto("/console/history");
  await dora.page.waitForTimeout(800);
  const loads = [];
  dora.page.on("framenavigated", () => loads.push(dora.page.url()));
  await send(carl, "dora@example.org", "33.33", "While you look");
  await dora.page.waitForSelector("#movements :text('While you look')", { timeout: 10_000 });
  assert.deepEqual(loads, []);
  for (const someone of [carl, dora]) await someone.close();
});

test("keys lead where they say, and can be switched off", async () => {
  const fay = await visitor(server);
  await register(fay, "Fay");
  const { page } = fay;
  await page.keyboard.press("/");
  await page.waitForURL("**/console/history#q");
  assert.equal(await page.evaluate(() => document.activeElement.id), "q");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await page.waitForURL("**/console/help");
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.waitForURL("**/console/send");
  await page.goto("/console/help");
  await page.click("[data-keys]");
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.waitForTimeout(300);
  assert.match(page.url(), /help$/);
  // All the way by Tab: the skip link comes first, and every stop can be seen.
  await page.goto("/console/send");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "to");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid");
  await fay.close();
});

const PAGES = ["/console/", "/console/send", "/console/topup", "/console/history", "/console/security", "/console/activity", "/console/help"];

for (const viewport of [WIDE, NARROW]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every page can be used by everybody: ${viewport.width} px, ${colorScheme}`, async () => {
      const someone = await visitor(server, { viewport, colorScheme });
      const { page } = someone;
      for (const path of ["/console/login", "/console/register", "/console/help", "/console/login?note=ended"]) {
        await page.goto(path);
        assert.deepEqual(await violations(page), [], path);
      }
      const name = `Gil${viewport.width}${colorScheme}`.replace(/\d/g, (digit) => "abcdefghij"[digit]);
      await register(someone, name);
      await send(someone, "house", "3", "A note");
      const pages = [...PAGES, new URL(page.url()).pathname, "/console/nowhere"];
      for (const path of pages) {
        await page.goto(path);
        assert.deepEqual(await violations(page), [], path);
        const { scroll, width } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: innerWidth }));
        assert.ok(scroll <= width, `${path} is ${scroll} px wide in ${width}`);
      }
      // A form with errors in it is a page of its own.
      await page.goto("/console/send");
      await page.fill("#amount", "nonsense");
      await page.click("main button[type=submit]");
      assert.deepEqual(await violations(page), []);
      await someone.close();
    });
  }
}

test("a page is small and paints after one round trip", async () => {
  const someone = await visitor(server);
  await register(someone, "Hal");
  const { page } = someone;
  for (const path of PAGES) {
    const sizes = [];
    const counted = (response) => sizes.push(response.body().then((body) => body.length).catch(() => 0));
    page.on("response", counted);
    await page.goto(path, { waitUntil: "load" });
    page.off("response", counted);
    const total = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    assert.ok(total > 0 && total < 100_000, `${path}: ${total} bytes`);
    // Nothing that the first paint would have to wait for is loaded from anywhere.
    assert.equal(await page.locator("link[rel=stylesheet], script:not([defer])").count(), 0, path);
  }
  await someone.close();
});

test("the API and the pages tell the same", async () => {
  const ida = await visitor(server);
  await register(ida, "Ida");
  await send(ida, "house", "20");
  const login = await api(server, "POST", "/login", { body: { email: "ida@example.org", password: PASSWORD } });
  const wallets = await api(server, "GET", "/wallets", { token: login.body.access_token });
  assert.equal(wallets.body.data[0].balance, "980.00");
  await ida.page.goto("/console/");
  assert.match(await ida.page.textContent("#wallets"), /\$980\.00/);
  await ida.close();
});
