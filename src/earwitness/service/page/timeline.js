// The picture: a spectrogram, an axis, and a lane for each label that is heard, over a window of time that can be
// narrowed. Only what lies in the window is drawn, so that a sound of hours costs no more than one of seconds.

import { clock, decoded, heard } from "./events.js";

const PALETTE = [[8, 8, 24], [60, 20, 104], [148, 44, 124], [222, 73, 104], [254, 159, 109], [252, 253, 191]];
const TICK_SECONDS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const LEAST_WINDOW_SECONDS = 5;

export class Timeline {
  /** root: the element with all of it; onSeek(seconds): somebody wants to go there. */
  constructor(root, { onSeek }) {
    this.root = root;
    this.onSeek = onSeek;
    this.spectrogram = root.querySelector("#spectrogram");
    this.axis = root.querySelector("#axis");
    this.lanes = root.querySelector("#lanes");
    this.cursor = root.querySelector("#cursor");
    this.position = 0;
    this.window = { start: 0, stop: 1 };
    this.shown = [];
    new ResizeObserver(() => this.redraw()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.spectrogram.addEventListener("keydown", (event) => this.#key(event));
    for (const track of [this.spectrogram, this.axis]) this.#follow(track);
  }

  /** Show what the service answered. */
  load(answer) {
    const { spectrogram, lanes, rule } = answer.picture;
    this.seconds = answer.seconds;
    this.timing = {
      hop: answer.hop_seconds, patch: answer.patch_seconds, seconds: answer.seconds,
      keepShare: rule.keep_share, minSeconds: rule.min_seconds, maxGapSeconds: rule.max_gap_seconds,
    };
    this.all = lanes.map((lane) => ({ ...lane, scores: decoded(lane.scores, Float32Array) }));
    this.picture = painted(spectrogram);
    this.pictureSeconds = spectrogram.columns * spectrogram.column_seconds;
    this.spectrogram.setAttribute("aria-valuemax", this.seconds.toFixed(1));
  }

  /** Show the labels that reach a threshold: a number, or "own" for that of each lane. Gives all events, by start. */
  apply(threshold) {
    const focused = document.activeElement?.closest("#lanes li")?.dataset.labelId;
    for (const lane of this.all) {
      lane.limit = threshold === "own" ? lane.threshold : threshold;
      lane.events = heard(lane.scores, lane.limit, this.timing);
    }
    this.shown = this.all.filter((lane) => lane.events.length);
    this.lanes.replaceChildren(...this.shown.map((lane) => this.#lane(lane)));
    this.shown.find((lane) => lane.label_id === focused)?.button.focus();
    this.redraw();
    return this.shown
      .flatMap((lane) => lane.events.map((event) => ({ ...event, label_name: lane.label_name })))
      .sort((a, b) => a.start - b.start);
  }

  /** 0 shows all of the sound, 1 the shortest window. Gives the length of the window. */
  zoom(share) {
    const least = Math.min(LEAST_WINDOW_SECONDS, this.seconds);
    const length = this.seconds * (least / this.seconds) ** share;
    this.length = length;
    this.#moveWindow(this.position - length / 2);
    return length;
  }

  /** Put the cursor somewhere, and the window over it. */
  moveTo(seconds) {
    this.position = Math.min(Math.max(seconds, 0), this.seconds);
    const { start, stop } = this.window;
    if (this.position < start || this.position >= stop) {
      // the next page, so that nothing moves while one looks at it
      if (stop < this.seconds || this.position < start) this.#moveWindow(this.position - 0.02 * (stop - start));
    }
    const share = (this.position - this.window.start) / (this.window.stop - this.window.start);
    this.cursor.style.transform = `translateX(${this.left + share * this.width}px)`;
    const second = Math.floor(this.position * 10);
    if (second !== this.told) {
      this.told = second;
      this.spectrogram.setAttribute("aria-valuenow", this.position.toFixed(1));
      this.spectrogram.setAttribute("aria-valuetext", `${clock(this.position)} of ${clock(this.seconds)}`);
    }
  }

  /** Draw all before the next frame, once. */
  redraw() {
    if (this.isDue || !this.picture) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.#draw();
    });
  }

  #moveWindow(start) {
    const begin = Math.min(Math.max(start, 0), this.seconds - this.length);
    this.window = { start: begin, stop: begin + this.length };
    this.redraw();
  }

  #draw() {
    const canvas = this.spectrogram.firstElementChild;
    this.left = this.spectrogram.offsetLeft;
    this.width = canvas.clientWidth;
    if (!this.width) return; // not on the screen
    const style = getComputedStyle(this.root);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = { groove: colour("groove"), faint: colour("faint"), found: colour("found"), soft: colour("soft") };
    this.#drawSpectrogram(canvas);
    this.#drawAxis();
    for (const lane of this.shown) this.#drawLane(lane);
    this.moveTo(this.position);
  }

  #drawSpectrogram(canvas) {
    const context = sized(canvas);
    const perSecond = this.picture.width / this.pictureSeconds;
    const { start, stop } = this.window;
    context.imageSmoothingEnabled = false;
    context.drawImage(
      this.picture, start * perSecond, 0, (stop - start) * perSecond, this.picture.height,
      0, 0, canvas.clientWidth, canvas.clientHeight,
    );
  }

  #drawAxis() {
    const context = sized(this.axis);
    const { start, stop } = this.window;
    const width = this.axis.clientWidth;
    const every = TICK_SECONDS.find((step) => (step / (stop - start)) * width >= 70) ?? TICK_SECONDS.at(-1);
    context.fillStyle = this.colours.soft;
    context.font = "12px system-ui, sans-serif";
    for (let tick = Math.ceil(start / every) * every; tick <= stop; tick += every) {
      const x = ((tick - start) / (stop - start)) * width;
      const text = clock(tick, every < 1);
      context.fillRect(Math.min(x, width - 1), 0, 1, 5);
      context.fillText(text, Math.min(x, width - context.measureText(text).width), 18);
    }
  }

  #drawLane(lane) {
    const context = sized(lane.canvas);
    const { start, stop } = this.window;
    const [width, height] = [lane.canvas.clientWidth, lane.canvas.clientHeight];
    const perPixel = (stop - start) / width;
    const { hop, patch } = this.timing;
    const [found, faint] = [new Path2D(), new Path2D()];
    context.fillStyle = this.colours.groove;
    context.fillRect(0, 0, width, height);
    const margin = (patch - hop) / 2;
    const last = lane.scores.length - 1;
    const at = (seconds) => Math.min(Math.max(Math.floor((seconds - margin) / hop), 0), last);
    const end = Math.min(last * hop + patch, this.seconds);
    let next = 0;
    for (let x = 0; x < width; x++) {
      const from = start + x * perPixel;
      if (from >= end) break;
      let peak = 0;
      for (let i = at(from), to = Math.max(i, at(from + perPixel - 1e-9)); i <= to; i++) peak = Math.max(peak, lane.scores[i]);
      const bar = Math.max(peak * height, 0.5);
      while (next < lane.events.length && lane.events[next].stop <= from) next++;
      const isHeard = next < lane.events.length && lane.events[next].start < from + perPixel;
      (isHeard ? found : faint).rect(x, height - bar, 1, bar);
    }
    context.fillStyle = this.colours.faint;
    context.fill(faint);
    context.fillStyle = this.colours.found;
    context.fill(found);
    context.fillStyle = this.colours.soft;
    context.fillRect(0, Math.round(height * (1 - lane.limit)), width, 0.5);
  }

  #lane(lane) {
    const row = document.createElement("li");
    row.dataset.labelId = lane.label_id;
    const [button, name, score] = ["button", "span", "span"].map((tag) => document.createElement(tag));
    button.type = "button";
    name.textContent = lane.label_name;
    score.textContent = `${Math.round(100 * lane.peak_score)} %`;
    score.ariaHidden = "true";
    const times = lane.events.length === 1 ? "once" : `${lane.events.length} times`;
    const total = lane.events.reduce((sum, event) => sum + event.stop - event.start, 0);
    const words = document.createElement("span");
    words.className = "unseen";
    words.textContent = `, heard ${times}, ${total.toFixed(1)} seconds in all, score up to ${Math.round(100 * lane.peak_score)} percent. Go to the next time.`;
    name.append(words);
    button.append(name, score);
    button.addEventListener("click", () => {
      const next = lane.events.find((event) => event.start > this.position + 0.05) ?? lane.events[0];
      this.onSeek(next.start);
    });
    const canvas = document.createElement("canvas");
    canvas.ariaHidden = "true";
    this.#follow(canvas);
    row.append(button, canvas);
    Object.assign(lane, { button, canvas });
    return row;
  }

  /** Clicks and drags on a track go to that time. */
  #follow(track) {
    const go = (event) => {
      const box = track.getBoundingClientRect();
      const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
      this.onSeek(this.window.start + share * (this.window.stop - this.window.start));
    };
    track.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      track.setPointerCapture(event.pointerId);
      go(event);
    });
    track.addEventListener("pointermove", (event) => {
      if (track.hasPointerCapture(event.pointerId)) go(event);
    });
    track.addEventListener("click", (event) => {
      if (event.pointerType === "touch") go(event); // a finger may also want to scroll
    });
  }

  #key(event) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
    let target = null;
    if (event.key in steps) target = this.position + steps[event.key] * (event.shiftKey ? 10 : 1);
    else if (event.key === "Home") target = 0;
    else if (event.key === "End") target = this.seconds;
    if (target === null) return;
    event.preventDefault();
    this.onSeek(Math.min(Math.max(target, 0), this.seconds));
  }
}

/** A canvas with as many pixels as the screen has for it, cleared, drawn on in CSS pixels. */
function sized(canvas) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The spectrogram as a canvas of its own, a pixel a value, low bands below. */
function painted({ columns, bands, data }) {
  const levels = decoded(data, Uint8Array);
  const colours = new Uint32Array(256);
  for (let level = 0; level < 256; level++) {
    const place = (level / 255) * (PALETTE.length - 1);
    const below = Math.min(Math.floor(place), PALETTE.length - 2);
    const [r, g, b] = [0, 1, 2].map((i) => PALETTE[below][i] + (place - below) * (PALETTE[below + 1][i] - PALETTE[below][i]));
    colours[level] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  const pixels = new Uint32Array(columns * bands);
  for (let column = 0, i = 0; column < columns; column++) {
    for (let band = 0; band < bands; band++, i++) pixels[(bands - 1 - band) * columns + column] = colours[levels[i]];
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, bands];
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), columns, bands), 0, 0);
  return canvas;
}
