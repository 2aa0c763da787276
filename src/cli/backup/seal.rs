//! A stream that nobody can read or change without the passphrase, whatever its length, in pieces of 64 KiB.
//!
//! The file is [`MAGIC`], a random salt of 32 bytes, and pieces: each is encrypted with ChaCha20-Poly1305 (RFC 8439)
//! and 16 bytes longer than what it holds. The key comes from passphrase and salt through Argon2id, so it is this
//! file's alone. The nonce is STREAM's (Hoang, Reyhanitabar, Rogaway, Vizár 2015; `age` does the same): seven zeros, the
//! piece's number in four bytes, highest first, and 1 if it is the last, so that pieces cannot be swapped, repeated or
//! cut off. Nothing is given out before its piece is proved. Cipher and hash are those of the crates that TLS and the
//! passwords bring along; only the order of the pieces is ours.

use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;

use crate::config::Passphrase;

/// What a backup begins with: what it is, and the version of its format.
pub const MAGIC: &[u8; 19] = b"farthing backup 1\r\n";
/// Random bytes that make the key this file's alone.
pub type Salt = [u8; 32];

/// What a piece holds.
const PIECE_BYTES: usize = 64 * 1024;
/// What encrypting adds to it.
const TAG_BYTES: usize = 16;
/// The second choice of RFC 9106: 64 MiB, three passes, four lanes. The first takes 2 GiB, which a small host lacks.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// Why a sealed stream cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It begins as no backup does.
    #[error("is no backup that this version can read")]
    NoBackup,
    /// The first piece does not open.
    #[error("cannot be opened: the passphrase is wrong, or the file was altered or cut off")]
    WrongPassphrase,
    /// A later piece does not open.
    #[error("was altered or cut off")]
    Altered,
    /// The system's.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The key could not be made of the passphrase.
    #[error("no key could be made of the passphrase: {0}")]
    Key(String),
}

/// Encrypts what is written to it.
pub struct Sealer<W> {
    output: W,
    stream: Stream,
    position: u32,
    piece: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    /// Begins a sealed stream.
    ///
    /// # Errors
    /// If its beginning cannot be written.
    pub fn begin(mut output: W, passphrase: &Passphrase, salt: &Salt) -> Result<Self, SealError> {
        output.write_all(MAGIC)?;
        output.write_all(salt)?;
        Ok(Self { output, stream: stream(passphrase, salt)?, position: 0, piece: Vec::new() })
    }

    /// Takes more.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), SealError> {
        while !bytes.is_empty() {
            // A full piece is only written when more follows: the last one must say that it is the last.
            if self.piece.len() == PIECE_BYTES {
                self.write_piece(false)?;
            }
            let room = PIECE_BYTES.saturating_sub(self.piece.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.piece.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Ends the stream; gives back where it went.
    ///
    /// # Errors
    /// If its end cannot be written.
    pub fn finish(mut self) -> Result<W, SealError> {
        self.write_piece(true)?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn write_piece(&mut self, is_last: bool) -> Result<(), SealError> {
        let too_long = || io::Error::other("the ledger is too large for one backup");
        self.stream.seal(self.position, is_last, &mut self.piece).map_err(|_| too_long())?;
        self.position = self.position.checked_add(1).ok_or_else(too_long)?;
        self.output.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

/// Decrypts what a [`Sealer`] wrote.
pub struct Unsealer<R> {
    input: R,
    stream: Stream,
    position: u32,
    /// What was proved, of which so much was given out.
    piece: Vec<u8>,
    given: usize,
    /// What was read beyond it, to know which piece is the last.
    ahead: Vec<u8>,
}

impl<R: Read> Unsealer<R> {
    /// Opens a sealed stream.
    ///
    /// # Errors
    /// If it is none, or the passphrase is wrong.
    pub fn begin(mut input: R, passphrase: &Passphrase) -> Result<Self, SealError> {
        let (mut magic, mut salt) = ([0; MAGIC.len()], Salt::default());
        read_all(&mut input, &mut magic)?;
        read_all(&mut input, &mut salt)?;
        if magic != *MAGIC {
            return Err(SealError::NoBackup);
        }
        let stream = stream(passphrase, &salt)?;
        let (piece, given) = (Vec::new(), 0);
        let mut unsealer = Self { input, stream, position: 0, piece, given, ahead: Vec::new() };
        unsealer.ahead = unsealer.read_piece()?;
        unsealer.next_piece()?;
        Ok(unsealer)
    }

    /// Fills the buffer, or as much of it as there is left; gives back how much that was.
    ///
    /// # Errors
    /// If it was altered or cut off, or cannot be read.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SealError> {
        let mut filled = 0_usize;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            let left = self.piece.get(self.given..).unwrap_or_default();
            let bytes = left.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..bytes), left.get(..bytes)) {
                to.copy_from_slice(from);
            }
            self.given = self.given.saturating_add(bytes);
            filled = filled.saturating_add(bytes);
            if bytes == 0 {
                if self.ahead.is_empty() {
                    break;
                }
                self.next_piece()?;
            }
        }
        Ok(filled)
    }

    /// Proves the piece that was read, having looked whether another follows.
    fn next_piece(&mut self) -> Result<(), SealError> {
        let ahead = self.read_piece()?;
        self.piece = std::mem::replace(&mut self.ahead, ahead);
        self.given = 0;
        let is_last = self.ahead.is_empty();
        let wrong = if self.position == 0 { SealError::WrongPassphrase } else { SealError::Altered };
        self.stream.open(self.position, is_last, &mut self.piece).map_err(|_| wrong)?;
        self.position = self.position.checked_add(1).ok_or(SealError::Altered)?;
        Ok(())
    }

    fn read_piece(&mut self) -> Result<Vec<u8>, SealError> {
        let length = PIECE_BYTES.saturating_add(TAG_BYTES);
        let mut piece = Vec::with_capacity(length);
        let most = u64::try_from(length).unwrap_or(u64::MAX);
        self.input.by_ref().take(most).read_to_end(&mut piece)?;
        Ok(piece)
    }
}

fn read_all(input: &mut impl Read, buffer: &mut [u8]) -> Result<(), SealError> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SealError::NoBackup,
        _ => SealError::Io(error),
    })
}

/// The cipher under the key of one file, which no two files share: so that the nonce need only tell its pieces apart.
struct Stream(LessSafeKey);

impl Stream {
    fn new(key: &[u8; 32]) -> Result<Self, Unspecified> {
        Ok(Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key)?)))
    }

    fn nonce(position: u32, is_last: bool) -> Nonce {
        let [a, b, c, d] = position.to_be_bytes();
        Nonce::assume_unique_for_key([0, 0, 0, 0, 0, 0, 0, a, b, c, d, u8::from(is_last)])
    }

    fn seal(&self, position: u32, is_last: bool, piece: &mut Vec<u8>) -> Result<(), Unspecified> {
        self.0.seal_in_place_append_tag(Self::nonce(position, is_last), Aad::empty(), piece)
    }

    fn open(&self, position: u32, is_last: bool, piece: &mut Vec<u8>) -> Result<(), Unspecified> {
        let length = self.0.open_in_place(Self::nonce(position, is_last), Aad::empty(), piece)?.len();
        piece.truncate(length);
        Ok(())
    }
}

fn stream(passphrase: &Passphrase, salt: &Salt) -> Result<Stream, SealError> {
    let failed = |error: argon2::Error| SealError::Key(error.to_string());
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(failed)?;
    let mut key = [0_u8; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), salt, &mut key)
        .map_err(failed)?;
    Stream::new(&key).map_err(|error| SealError::Key(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const TOP: usize = MAGIC.len() + 32;
    const SEALED_PIECE: usize = PIECE_BYTES + TAG_BYTES;

    fn passphrase() -> Passphrase {
        Passphrase::parse("nine tidy badgers").unwrap()
    }

    /// One derivation of a key for a whole test: it is slow on purpose.
    fn cheap() -> Stream {
        Stream::new(&[7; 32]).unwrap()
    }

    fn seal(content: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer { output: Vec::new(), stream: cheap(), position: 0, piece: Vec::new() };
        for part in content.chunks(10_007) {
            sealer.write(part).unwrap();
        }
        sealer.finish().unwrap()
    }

    fn unseal(sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (piece, ahead) = (Vec::new(), Vec::new());
        let mut unsealer = Unsealer { input: sealed, stream: cheap(), position: 0, piece, given: 0, ahead };
        unsealer.ahead = unsealer.read_piece()?;
        unsealer.next_piece()?;
        let (mut content, mut buffer) = (Vec::new(), vec![0; 9_001]);
        loop {
            let read = unsealer.read(&mut buffer)?;
            content.extend_from_slice(&buffer[..read]);
            if read < buffer.len() {
                return Ok(content);
            }
        }
    }

    #[test]
    fn what_was_sealed_is_read_back_whatever_its_length() {
        for length in [0, 1, 10_007, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let content: Vec<u8> = (0..=250).cycle().take(length).collect();
            let sealed = seal(&content);
            assert_eq!(sealed.len(), length + length.div_ceil(PIECE_BYTES).max(1) * TAG_BYTES);
            assert!(unseal(&sealed).unwrap() == content, "{length}");
        }
    }

    #[test]
    fn a_piece_is_what_other_programs_make_of_it() {
        // RFC 8439 gives a test of the cipher; this one, computed with another program, is of the nonces as well.
        let sealed = seal(&vec![5; PIECE_BYTES + 3]);
        assert_eq!(
            sealed[SEALED_PIECE - TAG_BYTES..SEALED_PIECE],
            [0x15, 0xe5, 0x08, 0xe6, 0x6f, 0x1e, 0x2c, 0xf0, 0x19, 0x34, 0x60, 0x5d, 0x2a, 0xd1, 0x48, 0x3f]
        );
        assert_eq!(
            sealed[SEALED_PIECE..],
            [
                0xa3, 0xa0, 0xd7, 0xcd, 0xb8, 0x1e, 0x07, 0xe3, 0x88, 0x28, 0x40, 0xca, 0xd9, 0x1b, 0xc0,
                0xaf, 0x76, 0xf9, 0xda
            ]
        );
    }

    #[test]
    fn each_changed_byte_is_noticed() {
        let sealed = seal(&vec![5; PIECE_BYTES + 300]);
        for at in (0..sealed.len()).filter(|at| at % 997 == 0 || *at + 400 > sealed.len()) {
            let mut changed = sealed.clone();
            changed[at] ^= 0x10;
            let error = unseal(&changed).unwrap_err();
            let first = matches!(error, SealError::WrongPassphrase) && at < SEALED_PIECE;
            assert!(first || matches!(error, SealError::Altered) && at >= SEALED_PIECE, "{at}: {error}");
        }
    }

    #[test]
    fn what_was_cut_off_lengthened_swapped_or_repeated_is_noticed() {
        let sealed = seal(&vec![5; 3 * PIECE_BYTES]);
        for length in (0..sealed.len()).filter(|at| at % 7_001 == 0 || at % SEALED_PIECE < 20) {
            assert!(unseal(&sealed[..length]).is_err(), "{length}");
        }
        let pieces: Vec<&[u8]> = sealed.chunks(SEALED_PIECE).collect();
        for order in [&[1, 0, 2][..], &[0, 0, 2], &[0, 1, 1, 2], &[0, 2], &[1, 2], &[0, 1, 2, 2]] {
            let joined: Vec<u8> = order.iter().flat_map(|piece| pieces[*piece]).copied().collect();
            assert!(unseal(&joined).is_err(), "{order:?}");
        }
        assert!(unseal(&[&sealed[..], b"x"].concat()).is_err());
        assert!(unseal(&sealed).is_ok());
    }

    #[test]
    fn only_the_passphrase_opens_it() {
        let salt = Clock::system().random().unwrap();
        let mut sealer = Sealer::begin(Vec::new(), &passphrase(), &salt).unwrap();
        sealer.write(b"content").unwrap();
        let sealed = sealer.finish().unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"content"));
        let mut buffer = [0; 10];
        let mut unsealer = Unsealer::begin(&sealed[..], &passphrase()).unwrap();
        assert_eq!((unsealer.read(&mut buffer).unwrap(), &buffer[..7]), (7, &b"content"[..]));

        let refused = |bytes: &[u8], text: &str| {
            Unsealer::begin(bytes, &Passphrase::parse(text).unwrap()).err().unwrap()
        };
        let (right, wrong) = ("nine tidy badgers", "nine tidy badgerz");
        assert!(matches!(refused(&sealed, wrong), SealError::WrongPassphrase));
        let mut other_salt = sealed.clone();
        other_salt[TOP - 1] ^= 1;
        assert!(matches!(refused(&other_salt, right), SealError::WrongPassphrase));
        for no_backup in
            [&b""[..], b"farthing backup 1\r", b"farthing backup 2\r\n", &[b'x'; 200], &sealed[..TOP - 1]]
        {
            assert!(matches!(refused(no_backup, right), SealError::NoBackup), "{no_backup:?}");
        }
    }
}
