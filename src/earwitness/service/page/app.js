// The page: from a file to what is heard in it.

import { ask, key, send } from "./ask.js";
import { clock } from "./events.js";
import { record } from "./recorder.js";
import { Timeline } from "./timeline.js";

const MAX_ROWS = 1000;
const HOP_DIVISORS = [8, 4, 2, 1]; // places of the slider: parts of a patch

const $ = (id) => document.getElementById(id);
const timeline = new Timeline($("timeline"), { onSeek: seek });
let model = null;
let file = null;
let player = null;
let work = null; // the AbortController of what is under way
let recording = null;

// the model, and the key that it may need

async function greet() {
  try {
    model = await ask("/v1/labels");
  } catch (error) {
    $("key-form").hidden = error.status !== 401;
    $("drop").hidden = true;
    const isFirst = error.status === 401 && !key.get();
    if (!isFirst) showError(error.message);
    return;
  }
  $("key-form").hidden = $("error").hidden = true;
  $("drop").hidden = false;
  $("model").textContent = `${model.model} knows ${model.labels.length} label${model.labels.length === 1 ? "" : "s"}.`;
  $("limits").textContent = `Up to ${model.max_megabytes} MB and ${model.max_minutes} minutes.`;
  $("own-line").hidden = !model.own_thresholds;
  $("own").checked = Boolean(model.own_thresholds);
  showSettings();
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set($("key").value.trim());
  greet();
});

// a file, by any way

$("file").addEventListener("change", () => {
  if ($("file").files.length) listen($("file").files[0]);
  $("file").value = ""; // the same file may be chosen again
});
for (const type of ["dragover", "drop", "dragleave"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("is-over", type === "dragover");
    if (type !== "drop" || !model) return;
    const { files, items } = event.dataTransfer;
    if (!files.length) showError("What was dropped is no file.");
    else if (files.length > 1) showError(`${files.length} files were dropped; drop one at a time.`);
    else if (items[0]?.webkitGetAsEntry?.()?.isDirectory) showError("What was dropped is a folder; drop a file of it.");
    else listen(files[0]);
  });
}
$("record").addEventListener("click", async () => {
  const button = $("record");
  button.disabled = true;
  try {
    if (recording) {
      const { stop } = recording;
      recording = null;
      button.classList.remove("is-recording");
      button.textContent = "Record";
      listen(await stop());
    } else {
      const show = (seconds) => (button.textContent = `Stop recording (${clock(Math.floor(seconds), false)})`);
      show(0);
      recording = await record((seconds) => recording && show(seconds), () => recording && button.click());
      button.classList.add("is-recording");
    }
  } catch (error) {
    button.textContent = "Record";
    showError(error.message);
  } finally {
    button.disabled = false;
  }
});

function listen(chosen) {
  file = chosen;
  $("result").hidden = true;
  play(file);
  analyse({ isNew: true });
}

// asking, and showing the answer

function hopSeconds() {
  const frames = Math.round(model.patch_seconds / model.frame_seconds);
  return Math.max(Math.round(frames / HOP_DIVISORS[$("hop").value]), 1) * model.frame_seconds;
}

function threshold() {
  return $("own").checked ? "own" : Number($("threshold").value);
}

function parameters(more) {
  return { name: file.name, hop_seconds: hopSeconds().toFixed(6), threshold: threshold(), ...more };
}

async function underWay(words, task) {
  work?.abort();
  const mine = (work = new AbortController());
  $("error").hidden = true;
  $("work").hidden = false;
  $("status").textContent = words;
  $("progress").removeAttribute("value");
  const on = {
    sent(share) {
      if (share < 1) $("progress").value = share;
      else $("progress").removeAttribute("value");
      $("status").textContent = share < 1 ? `Sending ${file.name}` : words;
    },
    busy: (seconds) => ($("status").textContent = `The service is busy; trying again in ${seconds} s.`),
  };
  try {
    const done = await task({ on, signal: mine.signal });
    return mine.signal.aborted ? null : done;
  } catch (error) {
    if (error.name !== "AbortError") showError(error.message);
    return null;
  } finally {
    if (work === mine) $("work").hidden = true;
  }
}

async function analyse({ isNew }) {
  work?.abort(); // what is still under way is another file, or this one otherwise
  if (file.size > model.max_megabytes * 1e6) {
    showError(`${file.name} is larger than the ${model.max_megabytes} MB that this service takes.`);
    return;
  }
  const answer = await underWay(`Listening to ${file.name}`, async (ways) =>
    JSON.parse(await (await send("/v1/timeline", parameters({ picture: true }), file, ways)).text()),
  );
  if (!answer) return;
  $("drop").classList.add("is-small");
  $("result").hidden = false;
  $("title").textContent = file.name;
  $("warnings").hidden = !answer.warnings.length;
  $("warnings").replaceChildren(...answer.warnings.map((words) => element("li", words)));
  timeline.load(answer);
  if (isNew) {
    $("zoom").value = 0;
    timeline.position = 0;
    $("title").focus({ preventScroll: true });
  }
  zoom();
  applyThreshold();
}

function applyThreshold() {
  showSettings();
  if (!timeline.picture) return;
  const events = timeline.apply(threshold());
  const count = timeline.shown.length;
  $("summary").textContent = `${clock(timeline.seconds)}, ${count === 1 ? "one label" : `${count || "no"} labels`} heard.`;
  $("nothing").hidden = count > 0;
  $("events").replaceChildren(...events.slice(0, MAX_ROWS).map(row));
  $("more-events").hidden = events.length <= MAX_ROWS;
  $("more-events").textContent = `${events.length - MAX_ROWS} more are in the downloads.`;
}

function row(event) {
  const line = document.createElement("tr");
  const go = element("button", clock(event.start));
  go.type = "button";
  go.dataset.seconds = event.start;
  const from = document.createElement("td");
  from.append(go);
  line.append(from, ...[clock(event.stop), event.label_name, `${Math.round(100 * event.peak)} %`].map((words) => element("td", words)));
  return line;
}

$("events").addEventListener("click", (event) => {
  if (event.target.dataset.seconds) seek(Number(event.target.dataset.seconds));
});

function showSettings() {
  const own = $("own").checked;
  $("threshold").disabled = own;
  $("threshold-value").textContent = own ? "" : Number($("threshold").value).toFixed(2);
  $("hop-value").textContent = model ? `${hopSeconds().toFixed(2)} s` : "";
}

function zoom() {
  const length = timeline.zoom(Number($("zoom").value));
  $("zoom-value").textContent = Number($("zoom").value) ? `${clock(length, false)} of ${clock(timeline.seconds, false)}` : "all of it";
}

for (const id of ["threshold", "own"]) $(id).addEventListener("input", applyThreshold);
$("hop").addEventListener("input", showSettings);
$("hop").addEventListener("change", () => file && analyse({ isNew: false }));
$("zoom").addEventListener("input", zoom);
$("cancel").addEventListener("click", () => work?.abort());

for (const button of document.querySelectorAll("[data-form]")) {
  button.addEventListener("click", async () => {
    const { form } = button.dataset;
    const blob = await underWay("Writing", (ways) => send("/v1/timeline", parameters({ format: form }), file, ways));
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${file.name.replace(/\.[^.]*$/, "") || "sound"}.${form}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
}

// playing

function play(sound) {
  if (player) {
    player.pause();
    URL.revokeObjectURL(player.src);
  }
  player = document.createElement(sound.type.startsWith("video/") ? "video" : "audio");
  player.controls = true;
  player.playsInline = true;
  player.preload = "metadata";
  player.src = URL.createObjectURL(sound);
  const mine = player;
  player.addEventListener("error", () => {
    if (mine === player) $("player").hidden = !($("unplayable").hidden = false);
  });
  const follow = () => {
    if (mine !== player) return;
    if (timeline.picture) timeline.moveTo(player.currentTime);
    if (!player.paused) requestAnimationFrame(follow);
  };
  player.addEventListener("play", follow);
  for (const type of ["seeking", "timeupdate"]) {
    player.addEventListener(type, () => mine === player && timeline.picture && timeline.moveTo(player.currentTime));
  }
  $("player").hidden = !($("unplayable").hidden = true);
  $("player").replaceChildren(player);
}

function seek(seconds) {
  if (!$("player").hidden) player.currentTime = seconds;
  timeline.moveTo(seconds);
}

$("spectrogram").addEventListener("keydown", (event) => {
  if (event.key !== " " || $("player").hidden) return;
  event.preventDefault();
  if (player.paused) player.play();
  else player.pause();
});

// small things

function element(tag, words) {
  const made = document.createElement(tag);
  made.textContent = words;
  return made;
}

function showError(words) {
  $("error").hidden = false;
  $("error").textContent = words;
}

greet();
