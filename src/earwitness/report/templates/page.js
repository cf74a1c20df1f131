"use strict";

// one sound at a time
const players = [...document.querySelectorAll("audio")];
for (const player of players) {
  player.addEventListener("play", () => players.forEach((other) => other === player || other.pause()));
}

// a line moves over the picture of a sound as it plays; a click on the picture goes there
for (const timeline of document.querySelectorAll(".timeline")) {
  const player = document.getElementById(timeline.dataset.player);
  const playhead = timeline.querySelector(".playhead");
  const [left, right, start, stop] = ["left", "right", "start", "stop"].map((name) => Number(timeline.dataset[name]));
  const show = () => {
    const share = (player.currentTime - start) / (stop - start);
    playhead.hidden = share < 0 || share > 1;
    playhead.style.left = `${100 * (left + share * (right - left))}%`;
  };
  const follow = () => {
    show();
    if (!player.paused) requestAnimationFrame(follow);
  };
  player.addEventListener("play", follow);
  for (const moved of ["seeking", "timeupdate"]) player.addEventListener(moved, show);
  timeline.addEventListener("click", (click) => {
    const box = timeline.getBoundingClientRect();
    const share = ((click.clientX - box.left) / box.width - left) / (right - left);
    if (share >= 0 && share <= 1) player.currentTime = start + share * (stop - start);
  });
  timeline.classList.add("can-seek");
}

// a click on a column's head sorts by it: numbers highest first, names from A; a second click turns it round
for (const head of document.querySelectorAll("table.sortable thead th:not(.with-bar)")) {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const column = head.cellIndex;
    const isNumber = head.classList.contains("number");
    const wasFirst = head.getAttribute("aria-sort") === (isNumber ? "descending" : "ascending");
    const isDescending = isNumber !== wasFirst;
    const body = head.closest("table").tBodies[0];
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => (isNumber ? value(a) - value(b) : value(a).localeCompare(value(b)));
    body.append(...[...body.rows].sort((a, b) => (isDescending ? compare(b, a) : compare(a, b))));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  });
}

// a field above a table leaves only the rows that hold what is typed
for (const table of document.querySelectorAll("table.searchable")) {
  const field = document.createElement("input");
  field.type = "search";
  field.className = "search";
  field.placeholder = `Search ${table.dataset.noun}`;
  field.setAttribute("aria-label", field.placeholder);
  table.before(field);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
