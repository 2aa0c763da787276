// What every browser test needs: a server of its own, browsers that report whatever goes wrong, people with accounts.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const FARTHING = process.env.FARTHING_BIN ?? path.join(ROOT, "target/debug/farthing");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const PASSWORD = "correct horse battery staple 7";
export const WIDE = { width: 1280, height: 900 };
export const NARROW = { width: 360, height: 780 };

/** A server in a folder of its own, on a port that the kernel chooses. */
export async function startServer(environment = {}) {
  const data = mkdtempSync(path.join(tmpdir(), "farthing-browser-"));
  const settings = { FARTHING_RATE_LIMITS_ENABLED: "false", ...environment };
  const child = spawn(FARTHING, ["serve", "--data", data, "--listen", "127.0.0.1:0"], {
    env: { ...process.env, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (piece) => { log += piece; });
  const address = await new Promise((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (piece) => {
      said += piece;
      const found = /listening on (http:\S+)/.exec(said);
      if (found) resolve(found[1]);
    });
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}: ${log}`)));
  });
  return {
    address,
    data,
    log: () => log,
    run: (...args) => spawnSync(FARTHING, [...args, "--data", data], { encoding: "utf8", input: "" }),
    async stop() {
      const ended = new Promise((resolve) => child.on("exit", resolve));
      child.kill("SIGTERM");
      await ended;
      rmSync(data, { recursive: true, force: true });
    },
  };
}

let browser;
/** The browser that all tests share. */
export async function theBrowser() {
  browser ??= await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  return browser;
}

export async function closeBrowser() {
  await browser?.close();
  browser = undefined;
}

/** Somebody at a browser: a context of their own, whose page notes every error and every breach of the content policy. */
export async function visitor(server, options = {}) {
  const { viewport = WIDE, colorScheme = "light", javaScriptEnabled = true, ...more } = options;
  const context = await (await theBrowser()).newContext({ baseURL: server.address, viewport, colorScheme, javaScriptEnabled, ...more });
  const page = await context.newPage();
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(`script: ${error.message}`));
  page.on("console", (message) => {
    const isAnswer = /status of 4\d\d/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !isAnswer) troubles.push(`console: ${message.text()}`);
  });
  page.on("dialog", (dialog) => { troubles.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(server.address) && !url.startsWith("data:")) troubles.push(`loads ${url}`);
  });
  return {
    context,
    page,
    troubles,
    async close() {
      assert.deepEqual(troubles, []);
      await context.close();
    },
  };
}

/** Registers through the console. */
export async function register(someone, name) {
  const { page } = someone;
  await page.goto("/console/register");
  await page.fill("#name", name);
  await page.fill("#email", `${name.toLowerCase().replace(/[^a-z]/g, "")}@example.org`);
  await page.fill("#password", PASSWORD);
  await page.click("main button[type=submit]");
  await page.waitForURL("**/console/?note=welcome");
}

/** Logs in through the console. */
export async function logIn(someone, email, password = PASSWORD) {
  const { page } = someone;
  await page.goto("/console/login");
  await page.fill("#email", email);
  await page.fill("#password", password);
  await page.click("main button[type=submit]");
}

/** Sends money through both steps. */
export async function send(someone, to, amount, note = "") {
  const { page } = someone;
  await page.goto("/console/send");
  await page.fill("#to", to);
  await page.fill("#amount", amount);
  if (note) await page.fill("#description", note);
  await page.click("main button[type=submit]");
  await page.waitForSelector("h1:has-text('Is this right?')");
  await page.click("main button[type=submit]");
  await page.waitForURL("**/console/payments/**");
}

/** What axe-core finds against WCAG 2.2 AA on the page as it is. */
export async function violations(page) {
  const { violations: found } = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
    .analyze();
  return found.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(" ") + " — " + node.failureSummary).join("; ")}`);
}

/** A call of the API. */
export async function api(server, method, target, { token, body, key } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers["Idempotency-Key"] = key;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(server.address + target, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
}
