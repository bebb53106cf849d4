//! The ids and times of conversations, written as CarePath writes them; knows no store.

use jiff::Timestamp;
use uuid::Uuid;

use crate::mrn::Mrn;

/// When something was stored, and the ids that are made of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp(Timestamp);

impl Stamp {
    /// The stamp of this moment.
    pub(crate) fn now() -> Self {
        Self(Timestamp::now())
    }

    /// UTC in ISO 8601 with microseconds and a final `Z`, like Python's `utcnow().isoformat() + "Z"`.
    pub(crate) fn iso(self) -> String {
        format!("{:.6}", self.0)
    }

    /// A new conversation id: `CONV-YYYY-MM-DD-{mrn}-{8 hex}`. It contains the record number, so it
    /// is never logged.
    pub(crate) fn conversation_id(self, mrn: &Mrn) -> String {
        format!("CONV-{}-{}-{}", self.0.strftime("%Y-%m-%d"), mrn.as_str(), random_hex(8))
    }

    /// A new key in the shape of MongoDB's: 24 hex digits, the first 8 of them the time.
    pub(crate) fn object_id(self) -> String {
        format!("{:08x}{}", self.0.as_second(), random_hex(16))
    }
}

/// `digits` (at most 32) hex digits from the end of a version 4 UUID, where its fixed ones are not.
fn random_hex(digits: usize) -> String {
    Uuid::new_v4().simple().to_string().chars().rev().take(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_ids_and_times_as_carepath_does() {
        let stamp = Stamp("2025-11-29T10:00:05Z".parse().unwrap());
        assert_eq!(stamp.iso(), "2025-11-29T10:00:05.000000Z");
        let id = stamp.conversation_id(&Mrn::parse("P000123").unwrap());
        let hex = id.strip_prefix("CONV-2025-11-29-P000123-").unwrap();
        assert!(hex.len() == 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let key = stamp.object_id();
        assert!(key.len() == 24 && key.starts_with("692ac425"), "{key}");
    }
}
