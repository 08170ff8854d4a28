// Fills the page of one session as marks are committed.
//
// Promises: what is shown is what the gateway last said; when a frame is missing, or the connection is,
// the page says so and asks for everything anew; while nothing can be saved it does not say that it is live.
//
// Refuses: deciding. A press asks the gateway (marking.js); the mark itself comes back over /ws.

import { listen } from "./marking.js";

const SOURCES = {
  qr: "QR code", biometric: "device", manual: "by hand", offline: "device, sent later",
  self: "said so", leave: "leave", correction: "corrected", auto: "at closing",
};
// What a page that is connected says of itself: only an open session is about to change.
const CONNECTED = {
  scheduled: "Not open yet", open: "Live", closed: "Closed; what is changed later still appears here",
  locked: "Locked; what the office changes still appears here", cancelled: "Cancelled",
};
const UNSAVED = "Nothing can be saved now; tell the admin. This page goes on by itself once it can.";
// Between two tries to connect, of which a random half is left out, so that screens do not come back in step.
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 3000;
// A connection that was cut without a word looks open to a browser, so the gateway is asked now and then.
const LOOK_EVERY = 6000;
const ANSWER_WITHIN = 5000;

const main = document.getElementById("main");
const lines = document.getElementById("lines");
const link = document.getElementById("link");
const alertBox = document.getElementById("alert");
const session = main.dataset.session;
const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", timeZone: main.dataset.zone,
});

// The socket in use; what others still say is not heard.
let current = null;
// The sequence of the last frame; nothing while a snapshot is on its way.
let seen = null;
let wait = FIRST_WAIT;
// The next try to connect, while one is waited for.
let retry = null;
// What is complained of is over once the page is connected again.
let passes = false;

function say(state, text) {
  link.dataset.state = state;
  link.textContent = text;
}

function complain(text, isPassing = false) {
  alertBox.textContent = text;
  alertBox.hidden = !text;
  passes = isPassing;
}

function lineOf(row) {
  const known = document.getElementById(row.studentId);
  if (known) return known;
  const line = document.getElementById("blank").content.firstElementChild.cloneNode(true);
  line.id = row.studentId;
  line.dataset.student = row.studentId;
  line.querySelector("input[name=student]").value = row.studentId;
  lines.append(line);
  return line;
}

function showRow(row, isNews) {
  const line = lineOf(row);
  const mark = row.mark ?? "";
  const isChange = line.dataset.mark !== mark;
  line.dataset.mark = mark;
  line.querySelector(".name").textContent = row.name || row.code;
  line.querySelector(".code").textContent = row.code;
  line.querySelector(".when").textContent = row.at ? clock.format(new Date(row.at)) : "";
  line.querySelector(".source").textContent = SOURCES[row.source] ?? "";
  line.querySelector("legend").textContent = `Mark of ${row.name || row.code}`;
  for (const button of line.querySelectorAll("button[name=mark]")) {
    button.setAttribute("aria-pressed", String(button.value === mark));
  }
  if (isNews && isChange) {
    line.classList.remove("news");
    void line.offsetWidth;
    line.classList.add("news");
  }
}

function showCounts(counts) {
  const known = counts.present + counts.late + counts.absent + counts.excused + counts.permission;
  const numbers = { ...counts, not_yet: counts.total - known };
  for (const place of document.querySelectorAll("[data-count]")) {
    place.textContent = numbers[place.dataset.count];
  }
  document.getElementById("here").textContent = counts.present + counts.late;
}

function showAbsent() {
  const absent = [...lines.querySelectorAll(".line[data-mark=absent] .name")];
  document.getElementById("absent").replaceChildren(...absent.map((name) => {
    const item = document.createElement("li");
    item.textContent = name.textContent;
    return item;
  }));
}

function showStatus(status) {
  main.dataset.status = status;
  const badge = document.getElementById("status");
  badge.dataset.status = status;
  badge.textContent = status;
}

function connected() {
  say("on", CONNECTED[main.dataset.status] ?? "Connected");
}

function showSnapshot(data) {
  showStatus(data.status);
  const belong = new Set(data.rows.map((row) => row.studentId));
  for (const line of [...lines.children]) {
    if (!belong.has(line.dataset.student)) line.remove();
  }
  data.rows.forEach((row) => showRow(row, false));
  showCounts(data.counts);
  showAbsent();
}

function heard(socket, frame) {
  switch (frame.event) {
    case "SNAPSHOT":
      seen = frame.seq;
      wait = FIRST_WAIT;
      showSnapshot(frame.data);
      connected();
      if (passes) complain("");
      return;
    case "ERROR":
      // The gateway sends a snapshot when it can save again. Otherwise, as all that this page asks for is to
      // watch, it does not watch any more.
      if (frame.data.code === "storage_unavailable") say("off", UNSAVED);
      else lost(socket, frame.data.message);
      return;
    case "DONE":
      return;
  }
  if (seen === null) return;
  if (frame.prev !== seen) {
    if (frame.seq > seen) subscribe(socket);
    return;
  }
  seen = frame.seq;
  if (frame.event === "ATTENDANCE_MARKED") {
    showRow(frame.data, true);
    showAbsent();
  }
  if (frame.event === "SESSION_STATUS") {
    showStatus(frame.data.status);
    connected();
  }
  if (frame.event === "TODAY_SUMMARY") showCounts(frame.data);
}

function subscribe(socket) {
  seen = null;
  socket.send(JSON.stringify({ event: "SUBSCRIBE", data: { sessionId: session } }));
}

function signIn() {
  current = null;
  location.assign(`/login?next=${location.pathname}`);
}

function ask(path) {
  return fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN) });
}

function connect() {
  const address = new URL("/ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  current = socket;
  socket.addEventListener("open", () => subscribe(socket));
  socket.addEventListener("message", (message) => {
    if (socket === current) heard(socket, JSON.parse(message.data));
  });
  socket.addEventListener("close", (end) => {
    if (end.code === 4401 && socket === current) signIn();
    else lost(socket);
  });
}

// Says so at once, and tries again after a while.
function lost(socket, why = "what you see may be old") {
  if (socket !== current) return;
  current = null;
  socket.close();
  say("off", `Not connected: ${why}. Trying again…`);
  retry = setTimeout(again, wait / 2 + Math.random() * wait / 2);
  wait = Math.min(wait * 2, LONGEST_WAIT);
}

// Somebody looks, or the network is there again: a hidden page may have waited much longer than it was told.
function hurry() {
  if (retry === null) return;
  clearTimeout(retry);
  again();
}

// A browser does not tell why a connection was refused; a page whose sign-in has ended must not try for ever.
async function again() {
  retry = null;
  const me = await ask("/api/v1/auth/me").catch(() => null);
  if (me?.status === 401 || me?.status === 403) signIn();
  else connect();
}

async function look() {
  const socket = current;
  if (socket) await ask("/livez").catch(() => lost(socket));
  setTimeout(look, LOOK_EVERY);
}

listen(lines, session, { complain, signIn });

const filter = document.querySelector(".filter");
filter.hidden = false;
filter.addEventListener("click", (event) => {
  const show = event.target.dataset.show;
  if (!show) return;
  lines.dataset.show = show;
  for (const button of filter.children) {
    button.setAttribute("aria-pressed", String(button === event.target));
  }
});

say("off", "Connecting…");
connect();
setTimeout(look, LOOK_EVERY);
window.addEventListener("offline", () => current && lost(current));
window.addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => document.hidden || hurry());
