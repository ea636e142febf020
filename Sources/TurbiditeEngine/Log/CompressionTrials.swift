// CompressionTrials — whether long frames are worth compressing, by what became of those before.
//
// Room:    Engine/Log.

/// Which long frames are compressed though no disk is waited for.
///
/// All, as long as they shrink. Otherwise one is tried now and then, ever less often.
struct CompressionTrials {
  /// As many frames are passed over at most: a trial that gains nothing costs those around it next
  /// to nothing each.
  private static let longestPause = 64

  private var pause = 0
  /// Frames that are still passed over.
  private var left = 0

  /// Whether to compress the frame at hand.
  mutating func isDue() -> Bool {
    if left == 0 { return true }
    left -= 1
    return false
  }

  /// Notes whether a frame was the shorter for it.
  mutating func note(_ hasShrunk: Bool) {
    pause = hasShrunk ? 0 : min(Self.longestPause, max(1, 2 * pause))
    left = pause
  }
}
