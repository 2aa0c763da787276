//! Every parser of what strangers send, fed with what nobody would write: valid samples that are bent, cut, joined and
//! sprinkled with awkward bytes. None may panic, and each must keep a promise that can be stated in a line.
//!
//! A second each in an ordinary run, ten minutes each with `./test --long`. On a nightly compiler the same targets run
//! under a coverage-guided engine: `cargo bolero test --test fuzz TARGET`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

mod bend;
mod files;
mod requests;
mod words;

use std::time::Duration;

/// How long each target runs.
fn time() -> Duration {
    let long = std::env::var_os("FARTHING_LONG").is_some_and(|value| value != "0" && !value.is_empty());
    if long { Duration::from_mins(10) } else { Duration::from_secs(1) }
}

/// A target: bytes that were bent out of these samples, and what must hold of whatever they became.
macro_rules! target {
    ($(#[$doc:meta])* $name:ident, $samples:expr, |$bytes:ident: &[u8]| $check:expr) => {
        $(#[$doc])*
        #[test]
        fn $name() {
            bolero::check!()
                .with_test_time(crate::time())
                .with_iterations(usize::MAX)
                .with_max_len(256)
                .for_each(|input: &[u8]| {
                    let bent = crate::bend::bend($samples, input);
                    let $bytes: &[u8] = &bent;
                    $check
                });
        }
    };
    ($(#[$doc:meta])* $name:ident, $samples:expr, |$text:ident: &str| $check:expr) => {
        target!($(#[$doc])* $name, $samples, |bytes: &[u8]| {
            let lossy = String::from_utf8_lossy(bytes);
            let $text: &str = &lossy;
            $check
        });
    };
}
pub(crate) use target;
