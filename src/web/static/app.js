// Keeps what is shown up to date, and makes forms more comfortable. Every page works without it.

// --- Live regions ---------------------------------------------------------------------------------
// After an event the page is fetched again, and every element with data-live is replaced if it changed.
// The server renders all text, so nothing is translated or escaped here.

const FIRST_WAIT_MS = 150;
const MIN_INTERVAL_MS = 1000;
const LOST_AFTER_MS = 3000;

const banner = document.getElementById("connection");
let refreshing = false;
let again = false;
let last = 0;
let lostSince = null;

function show(text) {
  banner.textContent = text;
  banner.hidden = false;
  document.body.classList.add("is-stale");
}

function hide() {
  banner.hidden = true;
  document.body.classList.remove("is-stale");
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
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (new URL(response.url).pathname === "/sign-in") {
      show(banner.dataset.signedOut);
    } else if (response.ok) {
      replace(new DOMParser().parseFromString(await response.text(), "text/html"));
      lostSince = null;
      hide();
    }
  } catch {
    lost();
  }
  last = Date.now();
  refreshing = false;
  if (again) refresh();
}

function replace(fresh) {
  const found = new Map();
  for (const element of fresh.querySelectorAll("[data-live]")) found.set(element.dataset.live, element);
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = found.get(old.dataset.live);
    if (now && !now.isEqualNode(old) && !old.contains(document.activeElement)) {
      old.replaceWith(document.importNode(now, true));
    }
  }
}

function lost() {
  lostSince ??= Date.now();
}

const source = document.body.dataset.liveEvents;
if (source) {
  const events = new EventSource(source);
  for (const kind of ["gateway", "switch", "plan", "history", "resync"]) events.addEventListener(kind, refresh);
  let wasOpen = false;
  events.addEventListener("open", () => {
    // What was missed meanwhile.
    if (wasOpen) refresh();
    wasOpen = true;
    lostSince = null;
  });
  events.addEventListener("error", () => {
    lost();
    // A refusal ends the stream for good: the session may be over.
    if (events.readyState === EventSource.CLOSED) refresh();
  });
  // Work whose end no event tells.
  setInterval(() => {
    if (document.querySelector("[data-pending]")) refresh();
  }, 2000);
  setInterval(() => {
    if (lostSince === null || Date.now() - lostSince < LOST_AFTER_MS) return;
    const seconds = Math.round((Date.now() - lostSince) / 1000);
    show(banner.dataset.lost.replace("{$count}", seconds).replace("%", seconds));
  }, 1000);
}

// --- Forms ------------------------------------------------------------------------------------------

for (const form of document.querySelectorAll("form[data-auto-submit]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
}

// --- Choosing rows ----------------------------------------------------------------------------------

const bulk = document.querySelector("form[data-bulk]");
if (bulk) {
  const rows = [...bulk.querySelectorAll("input[name=gateway]")];
  const page = bulk.querySelector("[data-choose-page]");
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
  page.hidden = rows.length === 0;
  page.addEventListener("change", () => {
    for (const row of rows) row.checked = page.checked;
    update();
  });
  bulk.addEventListener("change", update);
  // After going back, the browser may have kept what was chosen.
  window.addEventListener("pageshow", update);
  update();
}
