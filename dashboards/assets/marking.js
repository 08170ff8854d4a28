// Sends the marks that are pressed on the page of a session.
//
// Promises: every press is answered, by the gateway or by words: one that gets no answer in time is given
// back; where the gateway wants to know why, the page asks; why a press was refused stays until a later one
// goes well.
//
// Refuses: showing the mark. That comes back over /ws, like everybody else's.

const ANSWER_WITHIN = 5000;
const UNANSWERED = "The gateway did not answer in time. Look whether the mark is there before you press again.";

const dialog = document.getElementById("reason");
const why = document.getElementById("why");

// The reason that was typed; nothing if it was not given.
function askWhy(title) {
  document.getElementById("reason-title").textContent = title;
  why.value = "";
  dialog.returnValue = "";
  return new Promise((resolve) => {
    const close = () => resolve(dialog.returnValue === "change" ? why.value.trim() : "");
    dialog.addEventListener("close", close, { once: true });
    dialog.showModal();
  });
}

function send(wish) {
  return fetch("/api/v1/attendance/records", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(wish),
    signal: AbortSignal.timeout(ANSWER_WITHIN),
  });
}

async function problemOf(answer) {
  if (answer.ok) return null;
  return answer.json().catch(() => ({ title: "Not marked", detail: "try again" }));
}

// What is sent is whole, so the only thing that can be missing is the reason.
function wantsToKnowWhy(problem, wish) {
  return problem?.code === "validation_failed" && !problem.errors && !wish.reason;
}

// Too late, or the connection broke, perhaps after the mark was made. The page itself shows what came of the
// press, once it is connected again.
function isUnanswered(error) {
  return error.name === "TimeoutError" || error instanceof TypeError;
}

function words(error) {
  return isUnanswered(error) ? UNANSWERED : error.message;
}

// Asks for the mark; says whether it was given.
async function ask(wish, title, signIn) {
  const answer = await send(wish);
  if (answer.status === 401) {
    signIn();
    return false;
  }
  const problem = await problemOf(answer);
  if (wantsToKnowWhy(problem, wish)) {
    const reason = await askWhy(title);
    return reason ? ask({ ...wish, reason }, title, signIn) : false;
  }
  if (problem) throw new Error(`${problem.title}: ${problem.detail}.`);
  return true;
}

export function listen(lines, session, { complain, signIn }) {
  lines.addEventListener("submit", async (event) => {
    const { target: form, submitter } = event;
    event.preventDefault();
    form.setAttribute("aria-busy", "true");
    const wish = { session, student: form.elements.student.value, mark: submitter.value };
    const title = `${form.querySelector("legend").textContent}: why ${submitter.textContent.toLowerCase()}?`;
    try {
      if (await ask(wish, title, signIn)) complain("");
    } catch (error) {
      complain(words(error), isUnanswered(error));
    } finally {
      form.removeAttribute("aria-busy");
    }
  });
}
