//! [`Fields`]: a JSON object read field by field, so that every fault is named at once.
//!
//! Its messages say what was expected and never repeat a value.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What is wrong with one field, in FastAPI's shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct FieldError {
    loc: Vec<&'static str>,
    msg: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl FieldError {
    /// `field` of the body is wrong.
    pub(super) fn new(field: &'static str, msg: impl Into<String>) -> Self {
        Self { loc: vec!["body", field], msg: msg.into(), kind: "value_error" }
    }

    /// The body as a whole is wrong.
    pub(super) fn body(msg: impl Into<String>) -> Self {
        Self { loc: vec!["body"], msg: msg.into(), kind: "value_error" }
    }

    fn missing(field: &'static str) -> Self {
        Self { loc: vec!["body", field], msg: "Field required".to_owned(), kind: "missing" }
    }
}

/// A JSON object being read.
pub(super) struct Fields {
    values: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(super) fn new(values: Map<String, Value>) -> Self {
        Self { values, errors: Vec::new() }
    }

    /// A field that must be there; the type's default stands in where it is not.
    pub(super) fn required<T: DeserializeOwned + Default>(&mut self, name: &'static str, expected: &str) -> T {
        if self.values.get(name).is_none_or(Value::is_null) {
            self.errors.push(FieldError::missing(name));
            return T::default();
        }
        self.optional(name, expected).unwrap_or_default()
    }

    /// A field that may be absent or null.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &'static str, expected: &str) -> Option<T> {
        let value = self.values.remove(name).filter(|value| !value.is_null())?;
        let read = serde_json::from_value(value).ok();
        if read.is_none() {
            self.errors.push(FieldError::new(name, format!("must be {expected}")));
        }
        read
    }

    /// An optional field whose value must pass `test`.
    pub(super) fn tested<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        expected: &str,
        test: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let value = self.optional(name, expected)?;
        if test(&value) {
            return Some(value);
        }
        self.errors.push(FieldError::new(name, format!("must be {expected}")));
        None
    }

    /// Whether everything was as expected.
    pub(super) fn finish(self) -> Result<(), Vec<FieldError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}
