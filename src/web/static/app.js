// Keeps what is shown up to date, and makes forms more comfortable. Every page works without it.

// --- Live regions ---------------------------------------------------------------------------------
// After an event the page is fetched again, and every element with data-live is replaced if it changed.
// The server renders all text, so nothing is translated or escaped here.

const FIRST_WAIT_MS = 150;
const MIN_INTERVAL_MS = 1000;
const RETRY_MS = 2000;
const LOST_AFTER_MS = 3000;
const PENDING_MS = 2000;
const FIGURES_MS = 5000;

const banner = document.getElementById("connection");
const said = banner.querySelector("[role=status]");
const ago = banner.querySelector("[data-ago]");
const ages = new Intl.RelativeTimeFormat(document.documentElement.lang, { style: "narrow" });
let refreshing = false;
let again = false;
let last = 0;
let retry = null;
let lostSince = null;
// What is shown is the state of this time.
let asOf = timeOf(banner);
// Whether the banner says how old that is.
let isStale = !banner.hidden && banner.dataset.age !== undefined;
// A form could not be sent. The banner says so until trunkd can do it.
let isRefused = false;

function timeOf(element) {
  return Date.now() - Number(element.dataset.age ?? 0) * 1000;
}

// Says something. What is shown may still be true.
function show(text) {
  // A text that stays is not read out again.
  if (said.textContent !== text) said.textContent = text;
  banner.hidden = false;
  tick();
}

// Says why what is shown may be out of date, marks it, and goes on trying.
function mark(text) {
  tryAgain();
  if (isRefused) return;
  isStale = true;
  show(text.replace("%", `${new Date(asOf).toISOString().slice(11, 19)} UTC`));
  document.body.classList.add("is-stale");
}

// A form stays as it is: nothing was sent.
function refuse(text) {
  isRefused = true;
  isStale = false;
  show(text);
  tryAgain();
}

function hide() {
  isStale = false;
  isRefused = false;
  banner.hidden = true;
  document.body.classList.remove("is-stale");
}

function tick() {
  const seconds = Math.max(0, Math.round((Date.now() - asOf) / 1000));
  const age = seconds < 120 ? ages.format(-seconds, "second") : ages.format(-Math.floor(seconds / 60), "minute");
  ago.textContent = isStale ? `(${age})` : "";
}

function tryAgain() {
  clearTimeout(retry);
  retry = setTimeout(refresh, RETRY_MS);
}

async function refresh() {
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = true;
  const wait = Math.max(FIRST_WAIT_MS, last + MIN_INTERVAL_MS - Date.now());
  await new Promise((resolve) => setTimeout(resolve, wait));
  again = false;
  const asked = Date.now();
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    lostSince = null;
    if (new URL(response.url).pathname === "/sign-in" && location.pathname !== "/sign-in") {
      show(banner.dataset.signedOut);
      tryAgain();
    } else if (response.status >= 500) {
      mark(banner.dataset.away);
    } else {
      take(new DOMParser().parseFromString(await response.text(), "text/html"), response.ok, asked);
    }
  } catch {
    lost();
  }
  last = Date.now();
  refreshing = false;
  if (again) refresh();
}

// The page as it is now.
function take(fresh, isPage, asked) {
  if (isPage && document.querySelector("[data-may-come]")) {
    location.reload();
    return;
  }
  if (isPage) replace(fresh);
  const theirs = fresh.getElementById("connection");
  if (theirs && !theirs.hidden) {
    tryAgain();
    if (isRefused) return;
    asOf = timeOf(theirs);
    isStale = theirs.dataset.age !== undefined;
    show(theirs.querySelector("[role=status]").textContent);
    document.body.classList.add("is-stale");
    return;
  }
  if (isPage) asOf = asked;
  hide();
  listen();
}

function replace(fresh) {
  const found = new Map();
  for (const element of fresh.querySelectorAll("[data-live]")) found.set(element.dataset.live, element);
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = found.get(old.dataset.live);
    // What somebody is about to confirm stays as it is, and says that it is no longer true.
    if (now && old.dataset.keep !== undefined) {
      const note = old.querySelector("[data-if-changed]");
      if (note) note.hidden = now.dataset.keep === old.dataset.keep;
      continue;
    }
    if (now && !now.isEqualNode(old) && !old.contains(document.activeElement)) {
      old.replaceWith(document.importNode(now, true));
    }
  }
}

function lost() {
  lostSince ??= Date.now();
  // A short break is nothing to tell.
  if (Date.now() - lostSince >= LOST_AFTER_MS) mark(banner.dataset.lost);
  else tryAgain();
}

let events = null;

// Follows the events, if the page has some and nobody follows them yet.
function listen() {
  const source = document.body.dataset.liveEvents;
  if (!source || (events && events.readyState !== EventSource.CLOSED)) return;
  events = new EventSource(source);
  const kinds = ["gateway", "switch", "plan", "history", "redis", "resync"];
  for (const kind of kinds) events.addEventListener(kind, refresh);
  // What was missed since the page was made, or while the stream was away.
  events.addEventListener("open", refresh);
  // A refusal ends the stream for good: the session may be over, or Redis away.
  events.addEventListener("error", () => (events.readyState === EventSource.CLOSED ? tryAgain() : lost()));
}

listen();
// A banner that came with the page goes by itself.
if (!banner.hidden || document.querySelector("[data-may-come]")) tryAgain();
setInterval(() => {
  if (isStale) tick();
}, 1000);
// Work whose end no event tells, and figures that change as time passes.
if (document.body.dataset.liveEvents) {
  const refreshWhile = (selector) => () => document.querySelector(selector) && refresh();
  setInterval(refreshWhile("[data-pending]"), PENDING_MS);
  setInterval(refreshWhile("[data-figures]"), FIGURES_MS);
}

// --- Forms ------------------------------------------------------------------------------------------

for (const form of document.querySelectorAll("form[data-auto-submit]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
}

// The form of a gateway. A field's findings appear when it is left, and the form is sent only if that can
// succeed: what was typed stays in it over a lost connection and over a sign-in in another tab.
for (const form of document.querySelectorAll("form[data-check]")) watch(form);

function watch(form) {
  const touched = new Set([""]);
  let checked = "";
  let number = 0;

  const body = () => new URLSearchParams(new FormData(form));

  const ask = () =>
    fetch(form.dataset.check, { method: "POST", body: body(), redirect: "error", headers: { Accept: "text/html" } });

  const placeOf = (control) => control.closest(".field, .variable")?.querySelector("[data-findings]");

  async function check() {
    const now = [...touched].join() + body();
    if (now === checked) return;
    checked = now;
    const mine = ++number;
    try {
      const response = await ask();
      if (!response.ok || mine !== number) return;
      place(new DOMParser().parseFromString(await response.text(), "text/html"));
    } catch {
      // The next field asks again.
      checked = "";
    }
  }

  function place(fresh) {
    for (const found of fresh.querySelectorAll("[data-findings]")) {
      const name = found.dataset.findings;
      const here = form.querySelector(`[data-findings="${CSS.escape(name)}"]`);
      if (!here || !touched.has(name)) continue;
      if (here.innerHTML !== found.innerHTML) here.replaceChildren(...document.importNode(found, true).childNodes);
      const control = form.querySelector(`[aria-describedby~="${CSS.escape(here.id)}"]`);
      if (found.dataset.bad) control?.setAttribute("aria-invalid", "true");
      else control?.removeAttribute("aria-invalid");
    }
  }

  form.addEventListener("focusout", (event) => {
    const place = event.target.name && placeOf(event.target);
    if (!place) return;
    touched.add(place.dataset.findings);
    check();
  });

  let sent = false;
  form.addEventListener("submit", async (event) => {
    if (sent) return;
    event.preventDefault();
    const button = event.submitter;
    try {
      const response = await ask();
      if (response.status === 401) return refuse(banner.dataset.signedOut);
      if (response.status >= 500) return refuse(banner.dataset.unavailable);
    } catch {
      return refuse(banner.dataset.unavailable);
    }
    hide();
    sent = true;
    form.requestSubmit(button);
  });
  addEventListener("pageshow", () => (sent = false));
}

// A list of words: what is offered completes the last one.
for (const field of document.querySelectorAll("input[data-words]")) {
  const words = [...field.list.options].map((option) => option.value);
  field.addEventListener("input", () => {
    const [before] = field.value.match(/^.*[,，]\s*/) ?? [""];
    words.forEach((word, at) => (field.list.options[at].value = before + word));
  });
}

// --- Choosing rows ----------------------------------------------------------------------------------

const bulk = document.querySelector("form[data-bulk]");
if (bulk) {
  const rows = [...bulk.querySelectorAll("input[name=gateway]")];
  const choosePage = bulk.querySelector("[data-choose-page]");
  const page = choosePage.querySelector("input");
  const all = bulk.querySelector("input[name=all]");
  const actions = bulk.querySelector("[data-bulk-actions]");
  const count = bulk.querySelector("[data-bulk-count]");
  const update = () => {
    const chosen = rows.filter((row) => row.checked).length;
    page.checked = chosen > 0 && chosen === rows.length;
    page.indeterminate = chosen > 0 && chosen < rows.length;
    count.querySelector("b").textContent = chosen;
    count.hidden = all?.checked ?? false;
    actions.hidden = chosen === 0 && !all?.checked;
  };
  choosePage.hidden = rows.length === 0;
  page.addEventListener("change", () => {
    for (const row of rows) row.checked = page.checked;
    update();
  });
  bulk.addEventListener("change", update);
  // After going back, the browser may have kept what was chosen.
  window.addEventListener("pageshow", update);
  update();
}

// --- Files ------------------------------------------------------------------------------------------

// A file that is too large is not sent.
for (const field of document.querySelectorAll("input[data-max-bytes]")) {
  field.addEventListener("change", () => {
    const isTooLarge = field.files[0]?.size > Number(field.dataset.maxBytes);
    field.setCustomValidity(isTooLarge ? field.dataset.tooLarge : "");
    field.reportValidity();
  });
}
