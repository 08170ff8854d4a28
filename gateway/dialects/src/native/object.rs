//! JSON objects as terminals of the native dialect are sent them.
//!
//! Promises: fields in the order in which they were given, and no blanks between them.
//!
//! Refuses: failing. It takes only what JSON can hold, so that nobody is ever sent an empty message in an
//! answer's place.

use serde_json::Value;

/// One object, written field by field.
#[derive(Default)]
pub(super) struct Object(String);

impl Object {
    /// With a field; its name stands as it is, so it must be a plain word.
    pub(super) fn with(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&format!("\"{field}\":{}", value.into()));
        self
    }

    /// With a field, if there is something to say.
    pub(super) fn with_some(self, field: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        format!("{{{}}}", self.0).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_json_whatever_is_in_its_texts() {
        let text = "\"}{,\\\u{0}é\n";
        let bytes = Object::default().with("a", text).with_some("b", None::<bool>).with("c", 0.93).bytes();
        assert_eq!(bytes, "{\"a\":\"\\\"}{,\\\\\\u0000é\\n\",\"c\":0.93}".as_bytes());
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read["a"], text);
        assert_eq!(Object::default().with("a", None::<bool>).bytes(), br#"{"a":null}"#);
        assert_eq!(Object::default().bytes(), b"{}");
    }
}
