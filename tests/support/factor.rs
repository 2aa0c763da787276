//! What an authenticator app does.

use farthing::auth::seal::Secret;
use farthing::auth::totp;
use farthing::clock::Clock;

/// An app with a seed in it.
#[derive(Debug)]
pub struct Factor {
    seed: Secret,
    began: u64,
}

impl Factor {
    /// Takes the seed in as it is typed.
    pub fn new(secret: &str) -> Self {
        let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0_u32);
        for letter in secret.bytes() {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'2'..=b'7' => letter - b'2' + 26,
                _ => panic!("no base32: {secret}"),
            };
            held = (held << 5) | u32::from(value);
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes.push(u8::try_from((held >> bits) & 0xff).unwrap());
            }
        }
        Self { seed: Secret::new(bytes), began: totp::step_at(Clock::system().now()) }
    }

    /// The code so many steps after the one in which the seed was taken in.
    pub fn code(&self, later: u64) -> String {
        totp::code(&self.seed, self.began + later)
    }
}
