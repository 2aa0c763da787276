// What script adds to the console. Every page works without it: this file only makes some of it pleasanter.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));

// Times stay true while a page stays open, and are told in the reader's own zone when pointed at.
const UNITS = [["minute", 60, 3570], ["hour", 3600, 84600], ["day", 86400, 604800]];
function tellTimes(within = document) {
  for (const element of all("time[datetime]", within)) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    element.title = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    const past = (Date.now() - at) / 1000;
    const span = Math.abs(past);
    if (span < 45) {
      element.textContent = past >= 0 ? "just now" : "in a moment";
      continue;
    }
    const unit = UNITS.find(([, , below]) => span < below);
    if (!unit) continue;
    const number = Math.round(span / unit[1]);
    const words = `${number} ${unit[0]}${number === 1 ? "" : "s"}`;
    element.textContent = past >= 0 ? `${words} ago` : `in ${words}`;
  }
}

// A form that moves money is sent once; the server would know a second one anyway.
function sendOnce(event) {
  const form = event.target;
  if (!form.hasAttribute("data-once")) return;
  if (form.hasAttribute("data-sent")) {
    event.preventDefault();
    return;
  }
  form.setAttribute("data-sent", "");
  const button = one("button[type=submit]", form);
  button?.setAttribute("aria-disabled", "true");
}

// What a page shows is brought up to date when the server says that something has changed.
function shownBy(part) {
  // Neither the time that passes nor a button of this script is news.
  const copy = part.cloneNode(true);
  for (const element of all("time, .copy", copy)) element.remove();
  return copy.textContent;
}

let updating = false;
let updateAgain = false;
async function update() {
  if (updating) {
    updateAgain = true;
    return;
  }
  updating = true;
  try {
    const response = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
    if (!response.ok || response.redirected) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of all("[data-live][id]")) {
      const newer = page.getElementById(part.id);
      const shown = newer && shownBy(newer);
      if (!newer || shown === part.dataset.shown || part.contains(document.activeElement)) continue;
      part.dataset.shown = shown;
      part.replaceChildren(...newer.childNodes);
      part.classList.remove("fresh");
      void part.offsetWidth;
      part.classList.add("fresh");
      addCopyButtons(part);
      tellTimes(part);
    }
  } finally {
    updating = false;
    if (updateAgain) {
      updateAgain = false;
      update();
    }
  }
}

function listen() {
  const address = document.body.dataset.stream;
  if (!address || !one("[data-live]")) return;
  for (const part of all("[data-live][id]")) part.dataset.shown = shownBy(part);
  const source = new EventSource(address);
  source.addEventListener("change", update);
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

// Ids are for pasting.
function addCopyButtons(within = document) {
  if (!navigator.clipboard) return;
  for (const element of all("[data-copy]", within)) {
    if (element.nextElementSibling?.classList.contains("copy")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(element.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    element.after(button);
  }
}

// Keys. Whoever needs single keys for something else switches them off on the help page (WCAG 2.1.4).
const PLACES = { w: "/console/", s: "/console/send", r: "/console/requests", h: "/console/history", y: "/console/security", t: "/console/desk/" };
const OFF = "farthing-keys-off";
let afterG = false;
function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem(OFF)) return;
  const target = event.target;
  if (event.key === "Escape") {
    const menu = one("details.me[open]");
    if (menu) {
      menu.open = false;
      one("summary", menu).focus();
    } else if (target instanceof HTMLElement) {
      target.blur();
    }
    return;
  }
  if (target.closest("input, textarea, select, [contenteditable]")) return;
  if (afterG) {
    afterG = false;
    const place = PLACES[event.key];
    if (place) location.assign(place);
    return;
  }
  if (event.key === "g") {
    afterG = true;
    setTimeout(() => { afterG = false; }, 1200);
  } else if (event.key === "?") {
    location.assign("/console/help");
  } else if (event.key === "/") {
    event.preventDefault();
    const search = one("input[type=search]");
    if (search) search.focus();
    else location.assign("/console/history#q");
  }
}

function offerKeys() {
  const button = one("[data-keys]");
  if (!button) return;
  button.closest("[hidden]").hidden = false;
  const show = () => {
    const on = !localStorage.getItem(OFF);
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? "Keys are on" : "Keys are off";
  };
  button.addEventListener("click", () => {
    if (localStorage.getItem(OFF)) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
    show();
  });
  show();
}

function offerPrint() {
  for (const button of all("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }
}

// On a phone the navigation is a row that scrolls: the place where one is comes into view.
function showPlace() {
  const place = one(".side a[aria-current]");
  const side = place?.closest(".side");
  if (side) side.scrollLeft += place.getBoundingClientRect().right - side.getBoundingClientRect().right + 16;
}

// A page that comes back as it was left has not been sent yet.
function sendAgain(event) {
  if (!event.persisted) return;
  for (const form of all("form[data-sent]")) {
    form.removeAttribute("data-sent");
    one("button[type=submit]", form)?.removeAttribute("aria-disabled");
  }
}

addEventListener("pageshow", sendAgain);
addEventListener("submit", sendOnce);
addEventListener("keydown", press);
addCopyButtons();
tellTimes();
setInterval(tellTimes, 30000);
offerKeys();
offerPrint();
showPlace();
listen();
if (location.hash === "#q") one("input[type=search]")?.focus();
one(".wrong input, .wrong select")?.focus();
