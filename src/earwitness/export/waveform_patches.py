"""The front end in torch: waveform to patches, in operations that ONNX has.

The mathematics is that of `audio.logmel`, to the last bit after the rounding to float16. The window is folded into a
Fourier matrix, and both are cut into hops: a frame is the sum of as many products of matrices as hops lie under its
window, so frames need not be copied out of the waveform. All of it is float64, and why is said in `audio.logmel`; ONNX
Runtime has no float64 convolution, which would be the same thing.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from earwitness.audio.logmel import hann_window, mel_weights, used_bins
from earwitness.front_end import FrontEnd


class WaveformPatches(nn.Module):
    """Waveforms of one length to the patches that a network sees."""

    fourier: Tensor
    """float64 [parts, hop_samples, 2 * bins]: cosines, then sines, with the window in them; part p of a frame lies in
    the p-th hop from its start."""
    mel: Tensor
    """float64 [bins, bands]."""
    log_offset: Tensor
    """float64 []; as a number it would be rounded to float32 on its way into ONNX."""

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        self._front_end = front_end
        weights = mel_weights(front_end)
        bins = used_bins(weights)
        positions = np.arange(front_end.window_samples)[:, None] * np.arange(bins.start, bins.stop)
        # whole turns are taken away first, as they lose digits
        angles = 2 * np.pi / front_end.fft_length * (positions % front_end.fft_length)
        fourier = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        fourier *= hann_window(front_end.window_samples)[:, None]
        missing = -len(fourier) % front_end.hop_samples
        parts = np.pad(fourier, ((0, missing), (0, 0))).reshape(-1, front_end.hop_samples, fourier.shape[1])
        self.register_buffer("fourier", torch.from_numpy(parts))
        self.register_buffer("mel", torch.from_numpy(weights[bins]))
        self.register_buffer("log_offset", torch.tensor(front_end.log_offset, dtype=torch.float64))

    def forward(self, waveform: Tensor) -> Tensor:
        """Patches, float32 [batch, patches, patch_frames, bands], of waveforms float32 [batch, samples].

        A sound shorter than one patch is filled up with zeros to one; a last incomplete patch is dropped, or filled up,
        as the front end says.
        """
        front_end = self._front_end
        num_samples: int = torch.sym_max(waveform.shape[1], front_end.min_patch_samples)  # type: ignore[no-untyped-call]
        if front_end.fill_last_patch:
            step = front_end.patch_hop_frames * front_end.hop_samples
            num_steps = (num_samples - front_end.min_patch_samples + step - 1) // step
            num_samples = front_end.min_patch_samples + num_steps * step
        num_frames = (num_samples - front_end.window_samples) // front_end.hop_samples + 1
        num_parts = len(self.fourier)
        num_hops = num_samples // front_end.hop_samples + num_parts
        padding = num_hops * front_end.hop_samples - waveform.shape[1]
        hops = F.pad(waveform.double(), (0, padding)).reshape(waveform.shape[0], -1, front_end.hop_samples)
        spectrum = hops[:, :num_frames] @ self.fourier[0]
        for part in range(1, num_parts):
            spectrum = spectrum + hops[:, part : num_frames + part] @ self.fourier[part]
        num_bins = len(self.mel)
        real, imaginary = spectrum[..., :num_bins], spectrum[..., num_bins:]
        mel = torch.sqrt(real * real + imaginary * imaginary) @ self.mel
        frames = torch.log(mel + self.log_offset)
        rounded = frames.float().half().float()  # [batch, frames, bands]; float32 comes first in `audio.logmel`, too
        num_patches = (num_frames - front_end.patch_frames) // front_end.patch_hop_frames + 1
        firsts = torch.arange(num_patches, device=waveform.device) * front_end.patch_hop_frames
        numbers = firsts[:, None] + torch.arange(front_end.patch_frames, device=waveform.device)
        chosen = rounded.index_select(1, numbers.flatten())
        return chosen.reshape(len(waveform), -1, front_end.patch_frames, front_end.num_bands)
