// From the scores of patches to events, by the rule of the service (inference/events.py): a patch's score belongs to
// its middle, so each speaks for the hop about it, the first one for all before, the last one for all behind. An event
// goes on while a share of the threshold is kept; short gaps are closed; what is then too short is left out.

const SLACK_SECONDS = 1e-6;

/** Events of one label: [{start, stop, peak}], in seconds. */
export function heard(scores, threshold, { hop, patch, seconds, keepShare, minSeconds, maxGapSeconds }) {
  const joined = [];
  for (const event of runs(scores, threshold * keepShare, { hop, patch, seconds })) {
    if (event.peak < threshold) continue;
    const before = joined.at(-1);
    if (before && event.start - before.stop <= maxGapSeconds + SLACK_SECONDS) {
      before.stop = event.stop;
      before.peak = Math.max(before.peak, event.peak);
    } else {
      joined.push(event);
    }
  }
  return joined.filter((event) => event.stop - event.start >= minSeconds - SLACK_SECONDS);
}

/** Runs of scores at or above a limit. */
function runs(scores, limit, { hop, patch, seconds }) {
  const margin = (patch - hop) / 2;
  const found = [];
  let run = null;
  for (let i = 0; i < scores.length; i++) {
    if (scores[i] < limit) {
      run = null;
      continue;
    }
    if (!run) {
      run = { start: i === 0 ? 0 : i * hop + margin, stop: 0, peak: 0 };
      found.push(run);
    }
    run.stop = i === scores.length - 1 ? Math.min(i * hop + patch, seconds) : i * hop + patch - margin;
    run.peak = Math.max(run.peak, scores[i]);
  }
  return found;
}

/** Numbers from base64, little-endian as they are on every machine with a browser. */
export function decoded(base64, Type) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Type(bytes.buffer);
}

/** A place in a sound: 1:02:03.4 or 2:03.4; without tenths where `tenths` is false. */
export function clock(seconds, tenths = true) {
  const rounded = tenths ? Math.round(seconds * 10) / 10 : Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(rounded / 3600), Math.floor(rounded / 60) % 60, rounded % 60];
  const last = tenths ? rest.toFixed(1).padStart(4, "0") : String(rest).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${last}` : `${minutes}:${last}`;
}
