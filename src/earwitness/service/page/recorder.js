// The microphone as a WAV file: every browser can play it, and knows how long it is.

const MAX_SECONDS = 600;

/** Begin to record. onTime(seconds) tells how long it has been; stop() gives the file. */
export async function record(onTime, onFull) {
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) {
    throw new Error("Recording works on https addresses and on localhost only; browsers allow it nowhere else.");
  }
  const sound = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: sound });
  } catch (error) {
    const reason = error.name === "NotAllowedError" ? "the browser was not allowed to use it" : error.message;
    throw new Error(`The microphone cannot be heard: ${reason}.`);
  }
  const context = new AudioContext();
  const blocks = [];
  let numSamples = 0;
  const release = () => {
    for (const track of stream.getTracks()) track.stop();
    return context.close();
  };
  try {
    await context.audioWorklet.addModule("/page/recorder-worklet.js");
    const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => {
      blocks.push(data);
      numSamples += data.length;
      const seconds = numSamples / context.sampleRate;
      onTime(seconds);
      if (seconds >= MAX_SECONDS) onFull();
    };
    context.createMediaStreamSource(stream).connect(node);
  } catch (error) {
    await release();
    throw error;
  }
  return {
    async stop() {
      const rate = context.sampleRate;
      await release();
      if (!numSamples) throw new Error("The microphone gave no sound.");
      const time = new Date().toTimeString().slice(0, 5).replace(":", ".");
      return new File([header(numSamples, rate), ...blocks], `recording ${time}.wav`, { type: "audio/wav" });
    },
  };
}

/** Of 16 bits, mono. */
function header(numSamples, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * numSamples, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * numSamples, true);
  return view.buffer;
}
