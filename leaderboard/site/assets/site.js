"use strict";
/* Without this script everything can be read; with it tables sort and filter, episodes play, and the theme changes. */

const remembered = () => {
  try { return localStorage.getItem("theme"); } catch { return null; }
};
const root = document.documentElement;
if (remembered()) root.dataset.theme = remembered();
root.classList.add("js");

function setUpTheme(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => {
    button.querySelector("span").textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Change to the ${dark() ? "light" : "dark"} theme`);
  };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a private window forgets */ }
    show();
  });
  system.addEventListener("change", show);
  button.hidden = false;
  show();
}

function setUpSorting(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    if (!head.dataset.first) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const flip = { ascending: "descending", descending: "ascending" };
      const direction = now ? flip[now] : head.dataset.first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction);
      const rows = [...body.rows];
      rows.sort((a, b) => compare(a.cells[column].dataset.key, b.cells[column].dataset.key, direction));
      body.append(...rows);
    });
  });
}

/* Numbers by size, words by alphabet; what has no value comes last in both directions. */
function compare(a, b, direction) {
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  const numbers = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
  const order = numbers ? a - b : a.localeCompare(b, "en");
  return direction === "ascending" ? order : -order;
}

function setUpFilters(form) {
  const boards = [...document.querySelectorAll(".board")];
  const fields = ["family", "kind", "text"];
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const field of fields) {
    const control = form.elements[field];
    const wanted = asked.get(field);
    if (wanted && (field === "text" || [...control.options].some((option) => option.value === wanted))) {
      control.value = wanted;
    }
  }
  const apply = () => {
    const [family, kind, text] = fields.map((field) => form.elements[field].value);
    let shown = 0;
    let all = 0;
    for (const board of boards) {
      board.hidden = board.dataset.family !== family;
      for (const row of board.querySelectorAll("tbody tr")) {
        const fits = (kind === "all" || row.dataset.kind === kind)
          && row.dataset.submission.toLowerCase().includes(text.trim().toLowerCase());
        row.hidden = !fits;
        const rank = row.querySelector(".rank");
        if (rank) rank.textContent = kind === "all" ? rank.dataset.overall : rank.dataset.within;
        if (!board.hidden) { all += 1; shown += fits; }
      }
    }
    form.querySelector(".count").textContent = `${shown} of ${all} shown`;
  };
  const changed = () => {
    apply();
    const kept = new URLSearchParams();
    for (const field of fields) {
      const value = form.elements[field].value;
      if (value && value !== "all") kept.set(field, value);
    }
    try { history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname + location.search); } catch { /* file:// */ }
  };
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}

function setUpPlayer(figure) {
  const { fragments, frames, agents, captions } = JSON.parse(figure.querySelector("script").textContent);
  const moving = figure.querySelector(".moving");
  const discs = [...figure.querySelectorAll(".agent")];
  const play = figure.querySelector(".play");
  const slider = figure.querySelector("input");
  const last = frames.length - 1;
  let timer = null;
  const show = (step) => {
    if (moving.tagName === "PRE") moving.textContent = fragments[frames[step][0]];
    else moving.innerHTML = frames[step].map((number) => fragments[number]).join("");
    discs.forEach((disc, agent) => {
      const [x, y, radius] = agents[step][agent];
      disc.style.transform = `translate(${x}px,${y}px) scale(${radius})`;
    });
    figure.querySelector(".said").textContent = captions[step];
    figure.querySelector("output").textContent = `${step} / ${last}`;
    slider.setAttribute("aria-valuetext", `step ${step} of ${last}: ${captions[step]}`);
    slider.value = step;
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.classList.remove("playing");
    play.setAttribute("aria-label", `Play the ${figure.dataset.name} episode`);
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === last) show(0);
    play.classList.add("playing");
    play.setAttribute("aria-label", `Pause the ${figure.dataset.name} episode`);
    timer = setInterval(() => {
      show(Number(slider.value) + 1);
      if (Number(slider.value) === last) stop();
    }, 350);
  });
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  figure.querySelector(".controls").hidden = false;
  show(0);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".theme").forEach(setUpTheme);
  document.querySelectorAll("table.sortable").forEach(setUpSorting);
  document.querySelectorAll(".filters").forEach(setUpFilters);
  document.querySelectorAll(".player").forEach(setUpPlayer);
});
