//! Bends a valid sample as the input says: so most of what comes out gets past the first check of a parser, and not much
//! further.

/// What makes parsers stumble.
const AWKWARD: [&str; 40] = [
    "\0",
    "\r\n",
    "\u{feff}",
    "\u{202e}",
    "é",
    "e\u{301}",
    "İ",
    "ß",
    "🦀",
    "\u{fffd}",
    "%00",
    "%",
    "%2",
    "%ff",
    "+",
    "&",
    "=",
    ";",
    ",",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    "//",
    "..",
    "@",
    "#",
    "1e3",
    "-0",
    "00",
    "0x7f",
    "٣",
    "9223372036854775808",
    "null",
    " ",
];

/// The most steps of bending.
const STEPS: usize = 12;

/// One of the samples, bent. About one input in eight is taken as it is.
pub fn bend<S: AsRef<[u8]>>(samples: &[S], input: &[u8]) -> Vec<u8> {
    let Some((first, rest)) = input.split_first() else { return Vec::new() };
    if first % 8 == 7 {
        return rest.to_vec();
    }
    let pick = |number: u8| samples[usize::from(number) % samples.len()].as_ref();
    let mut bytes = pick(first / 8).to_vec();
    for step in rest.chunks_exact(4).take(STEPS) {
        let [what, high, low, value] = *step else { break };
        let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
        let awkward = AWKWARD[usize::from(value) % AWKWARD.len()].bytes();
        match what % 8 {
            0 => bytes.insert(at, value),
            1 | 2 => drop(bytes.splice(at..at, awkward)),
            3 if at < bytes.len() => bytes[at] ^= value,
            4 if at < bytes.len() => drop(bytes.remove(at)),
            5 => bytes.truncate(at.max(bytes.len() / 2)),
            6 => bytes.extend_from_slice(&pick(value)[..at.min(pick(value).len())]),
            7 => bytes.extend_from_within(at / 2..at),
            _ => {}
        }
    }
    bytes
}
