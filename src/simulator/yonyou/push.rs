//! Events: written down encrypted and signed, for whoever wants to deliver, lose, repeat or reorder them.

use aes::{Aes256, Block};
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use serde_json::{Value, json};

use super::sealed;
use crate::simulator::{credentials::yonyou as known, push::Push, state::State, value::number};

const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Encrypts a text with a key of 43 letters, in the frame of 微信, whose way this is.
pub(in crate::simulator) fn encrypted(
    letters: &str,
    chance: [u8; 16],
    message: &str,
    receiver: &str,
) -> String {
    let key = LENIENT.decode(format!("{letters}=")).unwrap_or_default();
    let mut frame = chance.to_vec();
    frame.extend(u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    frame.extend(message.as_bytes());
    frame.extend(receiver.as_bytes());
    let padding = u8::try_from(32 - frame.len() % 32).unwrap_or(32);
    frame.extend(std::iter::repeat_n(padding, usize::from(padding)));
    let iv = key.get(..16).unwrap_or_default();
    let Ok(mut cipher) = cbc::Encryptor::<Aes256>::new_from_slices(&key, iv) else { return String::new() };
    let mut out = Vec::with_capacity(frame.len());
    for chunk in frame.chunks_exact(16) {
        let Ok(mut block) = Block::try_from(chunk) else { return String::new() };
        cipher.encrypt_block(&mut block);
        out.extend_from_slice(&block);
    }
    STANDARD.encode(out)
}

/// Writes down that a record was changed in the pages.
pub(super) fn push(state: &mut State, what: &str, object: &str, id: &str) {
    let code = state.table(object).get(id).and_then(|row| row.fields.get("code").cloned());
    let (kind, content) = match object {
        "merchant" => (format!("YXYBASEDOC_AA_MERCHANT_{what}"), json!({"id": number(id), "code": code})),
        "voucherorder" => {
            let what = if what == "DELETE" { "DELETE" } else { "SAVE" };
            let bill = json!({"billId": id, "billCode": code, "billNo": "voucher_order"});
            (format!("SALE_{what}ORDER_NOTIFY_SENT"), json!({ "BILL_INFO": bill }))
        }
        _ => return,
    };
    let now = state.now_ms();
    let serial = state.next_serial();
    let event = json!({"type": kind, "eventId": format!("e{serial}"), "timestamp": now,
        "tenantId": known::TENANT_ID, "content": content.to_string()});
    let event = pushed(&event, now, &format!("n{serial}"), u128::from(serial).to_be_bytes());
    state.push(event);
}

fn pushed(event: &Value, now: i64, nonce: &str, chance: [u8; 16]) -> Push {
    // the secret without its dashes, filled up with zeros
    let mut letters = known::APP_SECRET.replace('-', "");
    while letters.len() < 43 {
        letters.push('0');
    }
    let encrypt =
        encrypted(letters.get(..43).unwrap_or_default(), chance, &event.to_string(), known::APP_KEY);
    let mut parts = [now.to_string(), nonce.to_owned(), encrypt.clone()];
    parts.sort();
    let body =
        json!({"signature": sealed(&parts.concat()), "timestamp": now, "nonce": nonce, "encrypt": encrypt});
    Push { query: String::new(), headers: Vec::new(), body: body.to_string() }
}
