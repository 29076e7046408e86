//! Bodies that are encrypted the way 微信 (WeChat) began and 企业微信, 用友 and 纷享销客 took over: AES-256 in CBC, in a
//! frame that holds the message's length and to whom it is sent.
//!
//! ```text
//! 16 bytes of chance · length of the message, 4 bytes, big end first · message · receiver · padding to 32 bytes
//! ```
//!
//! The first 16 bytes of the key are the initial vector too, so that the bytes of chance are what makes two equal
//! messages differ. Nothing in the frame proves who wrote it: a signature over the whole is verified before it is opened.

use aes::{Aes256, Block};
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};

/// Letters of a key; they stand for 32 bytes and two bits that nobody uses.
const KEY_LETTERS: usize = 43;
const KEY: usize = 32;
const BLOCK: usize = 16;
/// What the padding fills up to. Larger than AES's own block, and that is the scheme's way.
const PADDED_TO: usize = 32;
/// The bytes of chance, and the length.
const HEAD: usize = 20;

/// Vendors make keys of any 43 letters, so that the two bits that nobody uses are seldom zero.
const KEYS: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// A key. Debug is left out on purpose.
#[derive(Clone)]
pub struct BodyKey([u8; KEY]);

/// What was in a frame. Debug is left out on purpose: it holds values.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    pub message: String,
    /// To whom it is sent; empty where the sender says nothing.
    pub receiver: String,
}

impl BodyKey {
    /// A key as the vendor's pages show it: 43 letters of base64, `EncodingAESKey`. `None` where it is none.
    pub fn of_letters(letters: &str) -> Option<Self> {
        if letters.len() != KEY_LETTERS {
            return None;
        }
        let bytes = KEYS.decode(format!("{letters}=")).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// A key made of an app's secret: without its dashes, cut or filled with zeros to 43 letters. `None` where it holds
    /// what base64 does not know.
    pub fn of_app_secret(secret: &str) -> Option<Self> {
        let letters = secret.chars().filter(|letter| *letter != '-').chain(std::iter::repeat('0'));
        Self::of_letters(&letters.take(KEY_LETTERS).collect::<String>())
    }

    /// Takes a frame apart. `None` for whatever is wrong with it: why is not told, since it would help to guess.
    pub fn open(&self, text: &str) -> Option<Opened> {
        let mut bytes = STANDARD.decode(text.trim()).ok()?;
        if bytes.is_empty() || bytes.len() % BLOCK != 0 {
            return None;
        }
        let iv = self.0.get(..BLOCK)?;
        let mut opener = cbc::Decryptor::<Aes256>::new_from_slices(&self.0, iv).ok()?;
        for chunk in bytes.chunks_exact_mut(BLOCK) {
            let mut block = Block::try_from(&*chunk).ok()?;
            opener.decrypt_block(&mut block);
            chunk.copy_from_slice(&block);
        }
        let padding = usize::from(*bytes.last()?);
        let end = bytes.len().checked_sub(padding).filter(|_| (1..=PADDED_TO).contains(&padding))?;
        let (frame, padded) = bytes.split_at_checked(end)?;
        if padded.iter().any(|byte| usize::from(*byte) != padding) {
            return None;
        }
        let length = u32::from_be_bytes(frame.get(BLOCK..HEAD)?.try_into().ok()?);
        let (message, receiver) = frame.get(HEAD..)?.split_at_checked(usize::try_from(length).ok()?)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(Opened { message: text(message)?, receiver: text(receiver)? })
    }

    /// Puts a message into a frame. `chance` must be new each time. `None` for a message of more than 4 GiB.
    pub fn close(&self, chance: [u8; 16], message: &str, receiver: &str) -> Option<String> {
        let length = u32::try_from(message.len()).ok()?;
        let mut bytes = chance.to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.extend(message.as_bytes());
        bytes.extend(receiver.as_bytes());
        let padding = PADDED_TO - bytes.len() % PADDED_TO;
        bytes.resize(bytes.len() + padding, u8::try_from(padding).ok()?);
        let iv = self.0.get(..BLOCK)?;
        let mut closer = cbc::Encryptor::<Aes256>::new_from_slices(&self.0, iv).ok()?;
        for chunk in bytes.chunks_exact_mut(BLOCK) {
            let mut block = Block::try_from(&*chunk).ok()?;
            closer.encrypt_block(&mut block);
            chunk.copy_from_slice(&block);
        }
        Some(STANDARD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

    #[test]
    fn frames_are_those_that_other_libraries_make() {
        // accepted by wechatpy
        let key = BodyKey::of_letters(LETTERS).unwrap();
        let frame =
            "eCyIe0+uiijGBq44XutxnmMXMVVMdTT+Pg8C/LehLSi73ajTkm8WQUOkj3S06fkcEcLzENa8UfrLdITr3x3dDg==";
        let opened = key.open(frame).unwrap();
        assert_eq!(
            (opened.message.as_str(), opened.receiver.as_str()),
            ("<xml><MsgType>event</MsgType></xml>", "wxdemo")
        );
        assert_eq!(key.close([b'A'; 16], &opened.message, "wxdemo").unwrap(), frame);
        // accepted by the vendor's own library for 用友
        let key = BodyKey::of_app_secret("0123abcd-0123-4567-89ab-0123456789ab").unwrap();
        let frame =
            "HgCpJN+tDIXVgp4UngMGHwAGUWXMkyurJ0oLEVBZZYL0XisOxK31km5JbOs1jL+pQAiigcrg6MGn7oQDZbM7QQ==";
        let opened = key.open(frame).unwrap();
        assert_eq!(
            (opened.message.as_str(), opened.receiver.as_str()),
            ("{\"type\":\"CHECK_URL\"}", "ak_demo")
        );
        assert_eq!(key.close([b'A'; 16], &opened.message, "ak_demo").unwrap(), frame);
    }

    #[test]
    fn keys_are_made_of_43_letters_and_of_nothing_else() {
        for wrong in ["", "abc", &LETTERS[..42], &format!("{LETTERS}A"), &LETTERS.replace('c', "!")] {
            assert!(BodyKey::of_letters(wrong).is_none(), "{wrong}");
        }
        // a long secret is cut, a short one filled, and dashes do not count
        let key = |secret: &str| BodyKey::of_app_secret(secret).unwrap().0;
        assert_eq!(key(LETTERS), key(&format!("{LETTERS}more")));
        assert_eq!(key("ab-c"), key("abc0"));
        assert!(BodyKey::of_app_secret("秘密").is_none());
    }

    /// Any bytes as a frame would be: encrypted, and not a frame.
    fn encrypted(key: &BodyKey, mut bytes: Vec<u8>) -> String {
        let mut closer = cbc::Encryptor::<Aes256>::new_from_slices(&key.0, &key.0[..BLOCK]).unwrap();
        for chunk in bytes.chunks_exact_mut(BLOCK) {
            let mut block = Block::try_from(&*chunk).unwrap();
            closer.encrypt_block(&mut block);
            chunk.copy_from_slice(&block);
        }
        STANDARD.encode(bytes)
    }

    #[test]
    fn a_frame_whose_padding_or_length_is_wrong_is_none() {
        let key = BodyKey::of_letters(LETTERS).unwrap();
        let framed = |length: u32, rest: &[u8]| {
            let mut bytes = vec![7; 16];
            bytes.extend(length.to_be_bytes());
            bytes.extend(rest);
            encrypted(&key, bytes)
        };
        assert!(key.open(&framed(2, b"hi\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a")).is_some());
        for (why, frame) in [
            ("no padding", framed(2, b"hi\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")),
            ("more than 32", framed(2, b"hi\x21\x21\x21\x21\x21\x21\x21\x21\x21\x21")),
            ("more than there is", framed(2, b"hi\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20")),
            ("not all the same", framed(2, b"hi\x0a\x0a\x0a\x0a\x0a\x0b\x0a\x0a\x0a\x0a")),
            ("longer than the frame", framed(3, b"hi\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a")),
            ("longest", framed(u32::MAX, b"hi\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a")),
            ("no text", framed(2, b"\xff\xfe\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a")),
            ("no head", encrypted(&key, vec![16; 16])),
            ("nothing", String::new()),
            ("no whole block", STANDARD.encode([1; 17])),
            ("no base64", "*".repeat(64)),
        ] {
            assert!(key.open(&frame).is_none(), "{why}");
        }
    }

    proptest! {
        #[test]
        fn what_is_closed_opens_again_and_to_nobody_else(
            message in ".{0,200}", receiver in "[a-z0-9]{0,40}", chance in any::<[u8; 16]>(),
        ) {
            let key = BodyKey::of_letters(LETTERS).unwrap();
            let frame = key.close(chance, &message, &receiver).unwrap();
            let opened = key.open(&frame).unwrap();
            prop_assert!(opened.message == message && opened.receiver == receiver);
            let other = BodyKey::of_app_secret("another").unwrap();
            prop_assert!(other.open(&frame).is_none_or(|other| other != opened));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
            let key = BodyKey::of_letters(LETTERS).unwrap();
            let _ = key.open(&STANDARD.encode(&bytes));
            let _ = key.open(&encrypted(&key, bytes));
            let _ = key.open(&text);
            let _ = BodyKey::of_letters(&text);
            let _ = BodyKey::of_app_secret(&text);
        }
    }
}
