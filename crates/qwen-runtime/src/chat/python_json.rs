//! JSON as Python's `json.dumps` writes it, which is what transformers' `tojson` calls.
//!
//! minijinja's own filter differs in separators, escapes and numbers.

use serde_json::Value;

/// How `json.dumps` was asked to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Style {
    /// Spaces for each level; `None` writes one line.
    pub(super) indent: Option<usize>,
    pub(super) keys: KeyOrder,
    pub(super) charset: Charset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum KeyOrder {
    /// As inserted.
    #[default]
    Inserted,
    /// `sort_keys=True`.
    Sorted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Charset {
    /// `ensure_ascii=False`, transformers' default.
    #[default]
    Unicode,
    /// `ensure_ascii=True`.
    Ascii,
}

/// Writes `value`.
pub(super) fn dumps(value: &Value, style: Style) -> String {
    let mut writer = Writer { style, depth: 0, out: String::new() };
    writer.value(value);
    writer.out
}

struct Writer {
    style: Style,
    depth: usize,
    out: String,
}

impl Writer {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
                Some(float) => self.out.push_str(&float_repr(float)),
                None => self.out.push_str(&number.to_string()),
            },
            Value::String(text) => self.string(text),
            Value::Array(items) => self.items(['[', ']'], items.iter(), Self::value),
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                if self.style.keys == KeyOrder::Sorted {
                    entries.sort_by_key(|(key, _)| *key);
                }
                self.items(['{', '}'], entries.into_iter(), |writer, (key, item)| {
                    writer.string(key);
                    writer.out.push_str(": ");
                    writer.value(item);
                });
            }
        }
    }

    fn items<T>(
        &mut self,
        brackets: [char; 2],
        items: impl ExactSizeIterator<Item = T>,
        mut write_item: impl FnMut(&mut Self, T),
    ) {
        let empty = items.len() == 0;
        self.out.push(brackets[0]);
        self.depth += 1;
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push_str(if self.style.indent.is_some() { "," } else { ", " });
            }
            self.new_line();
            write_item(self, item);
        }
        self.depth -= 1;
        if !empty {
            self.new_line();
        }
        self.out.push(brackets[1]);
    }

    fn new_line(&mut self) {
        if let Some(indent) = self.style.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', indent * self.depth));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || self.style.charset == Charset::Ascii && c > '~' => self.escape(c),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn escape(&mut self, c: char) {
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            self.out.push_str(&format!("\\u{unit:04x}"));
        }
    }
}

/// A float as Python's `repr` writes it: the shortest digits that read back the same, in
/// scientific form below 1e-4 and from 1e16 on.
pub(super) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let fixed = format!("{value}");
        return if fixed.contains('.') { fixed } else { fixed + ".0" };
    }
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn floats_read_as_in_python() {
        // Each pair printed by CPython 3.11: print(repr(x)).
        for (value, expected) in [
            (1e-7, "1e-07"),
            (0.0001, "0.0001"),
            (0.00001234, "1.234e-05"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (9999999999999998.0, "9999999999999998.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(float_repr(value), expected);
        }
    }

    #[test]
    fn structure_and_escapes_read_as_in_python() {
        let value = json!({"b": [1, 2.5, null, true], "a": {"é": "\u{1}\u{7f}\"\\\n"}, "e": [], "o": {}});
        assert_eq!(
            dumps(&value, Style::default()),
            "{\"b\": [1, 2.5, null, true], \"a\": {\"é\": \"\\u0001\u{7f}\\\"\\\\\\n\"}, \"e\": [], \"o\": {}}"
        );
        let style = Style { indent: Some(2), keys: KeyOrder::Sorted, charset: Charset::Ascii };
        assert_eq!(
            dumps(&json!({"b": [1, {}], "a": "😀"}), style),
            "{\n  \"a\": \"\\ud83d\\ude00\",\n  \"b\": [\n    1,\n    {}\n  ]\n}"
        );
    }
}
