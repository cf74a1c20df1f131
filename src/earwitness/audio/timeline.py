"""Where decoded audio lies in time, so that timelines and captions stay true.

Time zero is the container's start. Audio that starts later, and gaps over `MAX_GAP_IGNORED_SECONDS`, are filled with
silence. Positions are counted in samples; time stamps only correct the count where they disagree by more than that,
because many containers round them (whole milliseconds in WebM). Sound is never dropped: where time stamps jump back,
the clock is set anew.

A time stamp may lie. A gap that would bring the silence to more than `MAX_SILENCE_SECONDS` is not filled.
"""

GAP_NOT_FILLED = "an implausible gap in its time stamps was not filled"
JUMPED_BACK = "its time stamps jump back"

MAX_GAP_IGNORED_SECONDS = 0.020
"""Disagreements up to this are rounding of time stamps."""

MAX_SILENCE_SECONDS = 3_600
"""Silence filled into one file, all together; a bogus time stamp must not make terabytes."""


class Timeline:
    """Counts samples and says how much silence belongs before each run of them."""

    def __init__(self, *, sample_rate_hz: int, position: int = 0) -> None:
        self.position = position
        """Samples from time zero to the end of what has come."""
        self.fault: str | None = None
        """What was wrong with the last time stamp; None where nothing."""
        self._sample_rate_hz = sample_rate_hz
        self._shift_seconds = 0.0  # what the clock was set back or forth by
        self._silence_left_seconds = float(MAX_SILENCE_SECONDS)

    @property
    def seconds(self) -> float:
        """Time from zero to the end of what has come."""
        return self.position / self._sample_rate_hz

    def set_sample_rate(self, sample_rate_hz: int) -> None:
        """Go on at another rate from the present time."""
        self.position = round(self.position * sample_rate_hz / self._sample_rate_hz)
        self._sample_rate_hz = sample_rate_hz

    def place(self, start_seconds: float | None, num_samples: int) -> int:
        """Take in a run of samples; returns the samples of silence that belong before it.

        Args:
            start_seconds: when it starts after time zero; None where the container does not say.
            num_samples: its length.
        """
        silence, self.fault = 0, None
        if start_seconds is not None:
            gap = start_seconds + self._shift_seconds - self.position / self._sample_rate_hz
            if gap > MAX_GAP_IGNORED_SECONDS and gap <= self._silence_left_seconds:
                silence = round(gap * self._sample_rate_hz)
                self._silence_left_seconds -= gap
            elif abs(gap) > MAX_GAP_IGNORED_SECONDS:
                self._shift_seconds -= gap
                if gap > 0:
                    self.fault = GAP_NOT_FILLED
                elif self.position > 0:  # at the beginning it is only early: encoders need a run-up
                    self.fault = JUMPED_BACK
        self.position += silence + num_samples
        return silence
