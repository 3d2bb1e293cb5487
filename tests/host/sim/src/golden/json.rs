// SPDX-License-Identifier: GPL-2.0

//! A reader for JSON as the manifests use it.

use std::collections::BTreeMap;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`, `true` or `false`, or a number, as written.
    Bare(String),
    /// A string, as bytes: `\udc80` to `\udcff` stand for bytes that are not UTF-8.
    Text(Vec<u8>),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Map(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one value; what follows it is ignored.
    pub fn parse(text: &[u8]) -> Result<Json, String> {
        Parser { text, at: 0 }.value()
    }

    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Map(map) => map.get(name),
            _ => None,
        }
    }

    /// The elements of an array; none for anything else.
    pub fn list(&self) -> &[Json] {
        match self {
            Json::List(list) => list,
            _ => &[],
        }
    }

    /// The members of an object; none for anything else.
    pub fn members(&self) -> impl Iterator<Item = (&String, &Json)> {
        match self {
            Json::Map(map) => Some(map.iter()),
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    /// A string or a number as text.
    pub fn text(&self) -> String {
        match self {
            Json::Bare(s) => s.clone(),
            Json::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    /// A string's bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Json::Text(bytes) => bytes,
            _ => &[],
        }
    }

    /// A number.
    pub fn number(&self) -> Option<u64> {
        self.text().parse().ok()
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> u8 {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn expect(&mut self, c: u8) -> Result<(), String> {
        if self.peek() != c {
            return Err(format!("expected {:?} at {}", char::from(c), self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<Json, String> {
        match self.peek() {
            b'{' => {
                let mut map = BTreeMap::new();
                self.sequence(b'}', |p| {
                    let name = p.string()?;
                    p.expect(b':')?;
                    let value = p.value()?;
                    map.insert(String::from_utf8_lossy(&name).into_owned(), value);
                    Ok(())
                })?;
                Ok(Json::Map(map))
            }
            b'[' => {
                let mut list = Vec::new();
                self.sequence(b']', |p| {
                    list.push(p.value()?);
                    Ok(())
                })?;
                Ok(Json::List(list))
            }
            b'"' => Ok(Json::Text(self.string()?)),
            _ => {
                let rest = &self.text[self.at..];
                let len = rest
                    .iter()
                    .position(|c| !(c.is_ascii_alphanumeric() || b"+-.".contains(c)))
                    .unwrap_or(rest.len());
                if len == 0 {
                    return Err(format!("no value at {}", self.at));
                }
                self.at += len;
                Ok(Json::Bare(
                    String::from_utf8_lossy(&rest[..len]).into_owned(),
                ))
            }
        }
    }

    fn sequence(
        &mut self,
        end: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.at += 1;
        if self.peek() == end {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            if self.peek() == b',' {
                self.at += 1;
                continue;
            }
            return self.expect(end);
        }
    }

    fn string(&mut self) -> Result<Vec<u8>, String> {
        self.expect(b'"')?;
        let mut out = Vec::new();
        let mut high = 0u32;
        loop {
            let c = *self.text.get(self.at).ok_or("unterminated string")?;
            self.at += 1;
            match c {
                b'"' => return Ok(out),
                b'\\' => {
                    let c = *self.text.get(self.at).ok_or("unterminated string")?;
                    self.at += 1;
                    match c {
                        b'n' => out.push(b'\n'),
                        b't' => out.push(b'\t'),
                        b'r' => out.push(b'\r'),
                        b'b' => out.push(8),
                        b'f' => out.push(12),
                        b'u' => {
                            let hex = self.text.get(self.at..self.at + 4).ok_or("short escape")?;
                            self.at += 4;
                            let hex = std::str::from_utf8(hex).map_err(|e| e.to_string())?;
                            let unit = u32::from_str_radix(hex, 16).map_err(|e| e.to_string())?;
                            high = push_unit(&mut out, high, unit);
                        }
                        other => out.push(other),
                    }
                }
                other => out.push(other),
            }
        }
    }
}

/// Adds a UTF-16 unit; returns it when it is the first half of a pair.
fn push_unit(out: &mut Vec<u8>, high: u32, unit: u32) -> u32 {
    let code = match unit {
        0xd800..=0xdbff => return unit,
        0xdc00..=0xdfff if high != 0 => 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00),
        0xdc80..=0xdcff => {
            out.push((unit - 0xdc00) as u8);
            return 0;
        }
        other => other,
    };
    let mut buf = [0; 4];
    let c = char::from_u32(code).unwrap_or('\u{fffd}');
    out.extend_from_slice(c.encode_utf8(&mut buf).as_bytes());
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_escapes() {
        let j = Json::parse(br#" {"a": [1, -2.5, null, {}], "b": "x\n\u00e9\ud83d\ude00\udcff"} "#)
            .unwrap();
        assert_eq!(j.get("a").unwrap().list().len(), 4);
        assert_eq!(
            j.get("b").unwrap().bytes(),
            b"x\n\xc3\xa9\xf0\x9f\x98\x80\xff"
        );
        assert!(Json::parse(b"[1, ").is_err());
        assert!(Json::parse(b"\"abc").is_err());
    }
}
