//! Files and settings: the configuration, key files, backups, receipts, checkpoints, quotas and networks.

use std::str::FromStr as _;
use std::sync::LazyLock;

use farthing::auth::ledger_key::LedgerKey;
use farthing::auth::sign::PublicKey;
use farthing::auth::throttle::ClassQuotas;
use farthing::books::bank;
use farthing::cli::backup::manifest::Manifest;
use farthing::cli::backup::seal::{Sealer, Unsealer};
use farthing::config::{Networks, Passphrase};
use farthing::ledger::Money;
use farthing::proof::checkpoint::Checkpoint;
use farthing::proof::receipt::Receipt;

use crate::target;

const CONFIGURATIONS: &[&str] = &[
    "[server]\nlisten = \"127.0.0.1:8080\"\nmode = \"sandbox\"\nworkers = 2\n[tokens]\naccess_ttl_seconds = 900\n",
    "[database]\nurl = \"postgres://farthing:secret@db.example/farthing?sslmode=verify-full\"\nconnections = 8\n",
    "[payments]\nduplicate_window_seconds = 60\n[log]\nformat = \"json\"\nlevel = \"info\"\n",
    "server.listen = '[::1]:0'\n",
];

target!(
    /// A configuration is taken or refused with a reason for each mistake, and no password of it is told.
    a_configuration, CONFIGURATIONS, |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("farthing.toml");
        std::fs::write(&file, bytes).unwrap();
        match farthing::config::load(Some(&file), &[], []) {
            // Without the colon it is a user's name.
            Ok(loaded) => assert!(!format!("{:?}", loaded.settings).contains(":secret@")),
            Err(errors) => assert!(!errors.0.is_empty() && !errors.to_string().is_empty()),
        }
    }
);

target!(
    /// The same from the environment.
    a_variable, &["8080", "127.0.0.1:0", "postgres://a:secret@b/c", "true", "900", "none", "1200/min per address"], |text: &str| {
        for name in ["FARTHING_LISTEN", "FARTHING_DATABASE_URL", "FARTHING_TOKENS_ACCESS_TTL_SECONDS", "FARTHING_LOG_LEVEL"] {
            let loaded = farthing::config::load(None, &[], [(name.to_owned(), text.to_owned())]);
            if let Err(errors) = loaded {
                assert!(errors.to_string().contains(name), "{errors}");
            }
        }
    }
);

target!(
    /// A key file holds 64 hexadecimal digits or no key.
    a_key_file, &["f0abc843a7506de2a88900ce0299cb9d76bcfefe98c14d43da08839461d448dd", "F0ABC843A7506DE2A88900CE0299CB9D76BCFEFE98C14D43DA08839461D448DD\n"], |text: &str| {
        if let Some(key) = LedgerKey::parse(text) {
            assert_eq!(key.expose().to_lowercase(), text.trim().to_lowercase());
        }
    }
);

target!(
    /// What stands before the database in a backup is read whole or refused, and asks for no more memory than it has.
    a_manifest, &["\0\0\0\u{2}{}", "\0\0\0\u{10}{\"version\":1,\"a\":", "\0\u{1}\0\0"], |bytes: &[u8]| {
        let mut rest = bytes;
        let read = Manifest::read(|buffer| {
            let length = buffer.len().min(rest.len());
            let (now, later) = rest.split_at(length);
            buffer[..length].copy_from_slice(now);
            rest = later;
            Ok(length)
        });
        if let Ok(manifest) = read {
            assert!(!manifest.to_bytes().unwrap().is_empty());
        }
    }
);

const CONTENT: &[u8] = b"a ledger, in a backup";
const PASSPHRASE: &str = "a passphrase that is long";

/// A sealed stream.
static SEALED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut sealer = Sealer::begin(Vec::new(), &Passphrase::parse(PASSPHRASE).unwrap(), &[7; 32]).unwrap();
    sealer.write(CONTENT).unwrap();
    sealer.finish().unwrap()
});

target!(
    /// What was sealed comes out as it went in, or nothing does.
    a_backup, &[&*SEALED], |bytes: &[u8]| {
        let mut content = [0; 2 * CONTENT.len()];
        let opened = Unsealer::begin(bytes, &Passphrase::parse(PASSPHRASE).unwrap());
        if let Ok(length) = opened.and_then(|mut unsealer| unsealer.read(&mut content)) {
            assert_eq!((&content[..length], bytes), (CONTENT, &SEALED[..]));
        }
    }
);

/// A receipt as a server gave it, and the key that signed it.
const RECEIPT: &str = include_str!("receipt.json");
const SIGNED_WITH: &str = "ed25519:82IP6pxld4VGOLqrWWnV5PhYpE8saBuMjcX8Myl1Y_4";

target!(
    /// A receipt is believed only if it says what it said when it was signed.
    a_receipt, &[RECEIPT], |bytes: &[u8]| {
        let key = PublicKey::parse(SIGNED_WITH).unwrap();
        let signed = Receipt::parse(RECEIPT.as_bytes()).unwrap();
        assert_eq!(signed.check(&[key]), Ok(()));
        if let Ok(receipt) = Receipt::parse(bytes) && receipt.check(&[key]).is_ok() {
            assert_eq!(receipt.payment(), signed.payment());
            let statements = |receipt: &Receipt| receipt.rows().iter().map(|row| row.statement.clone()).collect::<Vec<_>>();
            assert_eq!(statements(&receipt), statements(&signed));
            assert_eq!(receipt.checkpoint(), signed.checkpoint());
        }
    }
);

target!(
    /// So is a line of a file of checkpoints; a public key is written as it is read.
    a_checkpoint, &[checkpoint(), SIGNED_WITH.to_owned()], |text: &str| {
        let key = PublicKey::parse(SIGNED_WITH).unwrap();
        if let Some(read) = PublicKey::parse(text) {
            assert_eq!(read.to_string(), text);
        }
        if let Ok(taken) = Checkpoint::parse(text) {
            let signed = Checkpoint::parse(&checkpoint()).unwrap();
            assert!(taken.check(&[key]).is_err() || taken.signed_text() == signed.signed_text(), "{text}");
        }
    }
);

/// The receipt's checkpoint, as it stands in a file.
fn checkpoint() -> String {
    serde_json::to_string(Receipt::parse(RECEIPT.as_bytes()).unwrap().checkpoint()).unwrap()
}

target!(
    /// Quotas and networks are written as they are read.
    quotas_and_networks, &["1200/min per address, 600/min per account, 10/30s per key", "none", "10.0.0.0/8, ::1", "2001:db8::/32"], |text: &str| {
        if let Ok(quotas) = ClassQuotas::from_str(text) {
            assert_eq!(ClassQuotas::from_str(&quotas.to_string()).unwrap(), quotas, "{text}");
        }
        if let Some(networks) = Networks::parse(text) {
            assert_eq!(Networks::parse(&networks.to_string()), Some(networks), "{text}");
        }
    }
);

target!(
    /// A passphrase is long enough or none.
    a_passphrase, &["a passphrase that is long", "short", "            "], |text: &str| {
        if let Some(passphrase) = Passphrase::parse(text) {
            assert!(passphrase.expose().chars().count() >= 12);
        }
    }
);

target!(
    /// A bank file is read or refused with the line that is wrong; no line has an amount that money cannot have.
    a_bank_file, &[
        "date,amount,currency,reference\n2026-01-02,12.50,EUR,\"Till 2, slip 17\"\n",
        "amount;currency;reference\r\n-3;jpy;r\r\n",
        "<a><BkToCstmrStmt><Ntry><Amt Ccy=\"EUR\">1.5</Amt><CdtDbtInd>DBIT</CdtDbtInd><NtryRef>&amp;&#x31;</NtryRef></Ntry></BkToCstmrStmt></a>",
        "<Ntry><NtryDtls><TxDtls><Amt Ccy=\"EUR\">1</Amt></TxDtls><TxDtls><Amt Ccy=\"EUR\">2</Amt></TxDtls></NtryDtls></Ntry>",
    ], |text: &str| {
        for read in [bank::read_csv, bank::read_camt053] {
            match read(text) {
                Ok(lines) => for line in lines {
                    assert!(Money::from_minor(line.amount_minor.abs(), line.currency).is_ok(), "{line:?}");
                },
                Err(fault) => assert!(!fault.what.is_empty() && fault.line <= u64::try_from(text.len()).unwrap() + 1),
            }
        }
    }
);
