// Runs beside the sound: gathers a quarter of a second, then hands it over as 16-bit samples.

class Recorder extends AudioWorkletProcessor {
  #block = new Int16Array(sampleRate / 4);
  #used = 0;

  process([[samples]]) {
    if (!samples) return true;
    for (const sample of samples) {
      this.#block[this.#used++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.#used === this.#block.length) {
        this.port.postMessage(this.#block.slice());
        this.#used = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
