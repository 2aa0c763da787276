//! Waiting for what others do in their own time.

use std::time::{Duration, Instant};

/// Longer than anything may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks until what is looked for is there, and gives it.
#[track_caller]
pub fn found<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    found(what, || holds().then_some(()));
}
