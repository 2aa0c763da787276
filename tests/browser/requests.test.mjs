// Asking for money: a link is made, sent, paid once by whoever has it; with and without script, on a phone and on a desk.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { NARROW, PASSWORD, WIDE, api, closeBrowser, register, startServer, violations, visitor } from "./support.mjs";

const HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>";
let server;
before(async () => { server = await startServer(); });
after(async () => { await server.stop(); await closeBrowser(); });

/** Asks for money through the console; gives the path of the link. */
async function ask(someone, amount, note) {
  const { page } = someone;
  await page.goto("/console/requests/new");
  await page.fill("#amount", amount);
  if (note) await page.fill("#description", note);
  await page.selectOption("#expires_in", "604800");
  await page.click("main button[type=submit]");
  await page.waitForURL("**/console/requests/plk_*");
  return new URL(await page.textContent(".shared code")).pathname;
}

const WAYS = [
  { name: "wide, light, with script", viewport: WIDE, colorScheme: "light", javaScriptEnabled: true },
  { name: "narrow, dark, without script", viewport: NARROW, colorScheme: "dark", javaScriptEnabled: false },
];

for (const [at, way] of WAYS.entries()) {
  const [me, other, third] = [["Ann", "Bob", "Cid"], ["Anna", "Bobby", "Cindy"]][at];

  test(`ask, send the link, register on the way, pay once: ${way.name}`, async () => {
    const ann = await visitor(server, way);
    await register(ann, me);
    await ann.page.goto("/console/requests");
    assert.match(await ann.page.textContent("#requests"), /You have not asked for money yet/);
    const link = await ask(ann, "12.50", "Two <b>tickets</b>");
    assert.equal(await ann.page.locator(".code svg").count(), 1);
    const own = ann.page.url().split("?")[0];

    // Whoever follows the link sees what it is about, makes an account, and is back.
    const bob = await visitor(server, way);
    const { page } = bob;
    await page.goto(link);
    const asked = await page.textContent("main");
    assert.ok(asked.includes(me) && asked.includes("$12.50") && asked.includes("Two <b>tickets</b>"), asked);
    await page.click("text=Register");
    await page.fill("#name", other);
    await page.fill("#email", `${other.toLowerCase()}@example.org`);
    await page.fill("#password", PASSWORD);
    await page.click("main button[type=submit]");
    await page.waitForURL(`**${link}`);
    await page.click("main button[type=submit]");
    await page.waitForURL("**/console/payments/**");
    assert.match(await page.textContent("main"), new RegExp(`Sent.*${me} has it`));
    await page.reload();
    await page.goto(link);
    assert.match(await page.textContent("main"), /This was paid/);
    await page.goto("/console/");
    assert.match(await page.textContent("#wallets"), /\$987\.50/);

    // Its maker sees who paid; nobody can pay it any more.
    await ann.page.goto(own);
    assert.match(await ann.page.textContent("#request"), new RegExp(`by ${other}`));
    const cid = await visitor(server, way);
    await cid.page.goto(link);
    assert.match(await cid.page.textContent("main"), /This was paid/);
    assert.equal(await cid.page.locator("main form, main a[href*=payments]").count(), 0);

    // One that is taken back says so.
    const gone = await ask(ann, "3", third);
    await ann.page.click("text=Take it back");
    assert.match(await ann.page.textContent("main"), /Nobody can pay this any more/);
    await cid.page.goto(gone);
    assert.match(await cid.page.textContent("main"), /was taken back/);
    await ann.page.goto("/console/requests");
    assert.equal(await ann.page.locator("#requests tbody tr").count(), 2);
    for (const someone of [ann, bob, cid]) await someone.close();
  });
}

test("a double click pays once, and the maker's page hears of it", async () => {
  const dora = await visitor(server);
  await register(dora, "Dora");
  const link = await ask(dora, "7", "While you look");
  const eve = await visitor(server);
  await register(eve, "Eve");
  await eve.page.goto(link);
  await eve.page.dblclick("main button[type=submit]");
  await eve.page.waitForURL("**/console/payments/**");
  await eve.page.goto("/console/");
  assert.match(await eve.page.textContent("#wallets"), /\$993\.00/);
  await dora.page.waitForSelector("#request :text('by Eve')", { timeout: 10_000 });
  for (const someone of [dora, eve]) await someone.close();
});

test("a payment that is held is captured, refunded and told in order", async () => {
  const fay = await visitor(server);
  await register(fay, "Fay");
  await api(server, "POST", "/register", { body: { email: "gus@example.org", password: PASSWORD, name: "Gus" } });
  const gus = await api(server, "POST", "/login", { body: { email: "gus@example.org", password: PASSWORD } });
  const held = await api(server, "POST", "/payment", {
    token: gus.body.access_token, key: "held", body: { amount: "10", currency: "USD", to: "fay@example.org", capture: "manual" },
  });
  const { page } = fay;
  await page.goto(`/console/payments/${held.body.id}`);
  await page.fill("#amount", "8");
  await page.click("form[action$='/capture'] button");
  assert.match(await page.textContent("main"), /Captured\. It is in your wallet/);
  await page.fill("#amount", "80");
  await page.click("form[action$='/refund'] button");
  assert.ok(await page.locator(".notice.bad, #amount-error").count(), "more than there is");
  await page.fill("#amount", "3");
  await page.fill("#reason", "Broken");
  await page.click("form[action$='/refund'] button");
  await page.waitForURL("**note=refunded");
  const told = await page.locator(".timeline li").allTextContents();
  assert.equal(told.length, 3);
  assert.ok(/Authorised/.test(told[0]) && /Captured \$8\.00/.test(told[1]) && /Refunded \$3\.00.*Broken/.test(told[2]), told.join("\n"));
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("text=Receipt")]);
  assert.match(download.suggestedFilename(), /^receipt-pay_.*\.json$/);
  await fay.close();
});

test("the link that the API tells leads to the page, whatever its maker is called", async () => {
  const account = { email: "mallory@example.org", password: PASSWORD };
  await api(server, "POST", "/register", { body: { ...account, name: HOSTILE } });
  const { body: { access_token: token } } = await api(server, "POST", "/login", { body: account });
  const made = await api(server, "POST", "/requests", { token, body: { amount: "2", currency: "JPY", description: HOSTILE } });
  const told = await api(server, "GET", `/requests/${made.body.id}`, { token });
  const anybody = await visitor(server);
  await anybody.page.goto(told.body.url);
  const shown = await anybody.page.textContent("main");
  assert.ok(shown.includes(HOSTILE) && shown.includes("¥2"), shown);
  assert.equal(await anybody.page.locator("img").count(), 0);
  const lea = await visitor(server);
  await register(lea, "Lea");
  await lea.page.goto(told.body.url);
  assert.match(await lea.page.textContent("main"), /not enough: the payment would be declined/);
  await lea.page.click("main button[type=submit]");
  assert.match(await lea.page.textContent("main"), /Declined: not enough money/);
  assert.equal(await lea.page.locator("img").count(), 0);
  for (const someone of [anybody, lea]) await someone.close();
});

test("a statement is downloaded for a period", async () => {
  const hal = await visitor(server);
  await register(hal, "Hal");
  const { page } = hal;
  await page.click("main >> text=Statement");
  await page.selectOption("#format", "csv");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("main button[type=submit]")]);
  assert.equal(download.suggestedFilename(), "statement-USD.csv");
  await page.fill("#from", "2026-02-01");
  await page.fill("#to", "2026-01-01");
  await page.click("main button[type=submit]");
  assert.match(await page.textContent("#to-error"), /must be after/);
  assert.equal(await page.inputValue("#from"), "2026-02-01");
  await hal.close();
});

for (const viewport of [WIDE, NARROW]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every page about requests can be used by everybody: ${viewport.width} px, ${colorScheme}`, async () => {
      const someone = await visitor(server, { viewport, colorScheme });
      const name = `Ida${viewport.width}${colorScheme}`.replace(/\d/g, (digit) => "abcdefghij"[digit]);
      await register(someone, name);
      const { page } = someone;
      const fits = async (path) => {
        assert.deepEqual(await violations(page), [], path);
        const { scroll, width } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: innerWidth }));
        assert.ok(scroll <= width, `${path} is ${scroll} px wide in ${width}`);
      };
      await page.goto("/console/requests");
      await fits("no requests");
      const link = await ask(someone, "5", HOSTILE);
      const own = new URL(page.url()).pathname;
      for (const path of [own, "/console/requests", "/console/requests/new", link, "/console/statement", "/console/payments"]) {
        await page.goto(path);
        await fits(path);
        assert.equal(await page.locator("img").count(), 0, path);
      }
      const stranger = await visitor(server, { viewport, colorScheme });
      await stranger.page.goto(link);
      assert.deepEqual(await violations(stranger.page), [], "a stranger's");
      assert.equal(await stranger.page.locator("img").count(), 0);
      const payer = await visitor(server, { viewport, colorScheme });
      await register(payer, `${name}payer`);
      await payer.page.goto(link);
      assert.deepEqual(await violations(payer.page), [], "a payer's");
      await payer.page.click("main button[type=submit]");
      await payer.page.waitForURL("**/console/payments/**");
      assert.deepEqual(await violations(payer.page), [], "a payment's");
      assert.equal(await payer.page.locator("img").count(), 0);
      await page.goto("/console/payments");
      await fits("payments");
      await page.goto(own);
      await fits("paid");
      await page.goto("/console/requests/new");
      await page.click("main button[type=submit]");
      await fits("with errors");
      for (const one of [someone, stranger, payer]) await one.close();
    });
  }
}

test("logging in leads back to the link, and nowhere else", async () => {
  const jan = await visitor(server);
  await register(jan, "Jan");
  const link = await ask(jan, "1", "");
  const before = await visitor(server);
  await register(before, "Kim");
  await before.close();
  const kim = await visitor(server);
  await kim.page.goto(link);
  await kim.page.click("text=Log in to pay");
  await kim.page.fill("#email", "kim@example.org");
  await kim.page.fill("#password", PASSWORD);
  await kim.page.click("main button[type=submit]");
  await kim.page.waitForURL(`**${link}`);
  for (const next of ["//evil.example/", "https://evil.example/pay/", "/docs"]) {
    const eve = await visitor(server);
    await eve.page.goto(`/console/register?next=${encodeURIComponent(next)}`);
    await eve.page.fill("#email", `eve${next.length}@example.org`);
    await eve.page.fill("#password", PASSWORD);
    await eve.page.click("main button[type=submit]");
    await eve.page.waitForURL("**/console/?note=welcome");
    await eve.close();
  }
  for (const someone of [jan, kim]) await someone.close();
});
