//! JSON as a hostile sender might write it: an object that names a field twice says two things and hence nothing.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The whole of `bytes` as one object, no name twice at any depth, at most 128 levels deep.
pub(crate) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(object))) => Some(object),
        _ => None,
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = access.next_entry::<String, Strict>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is there twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn err_not_exactly_one_object_without_repetition() {
        for bad in [
            "",
            "[]",
            "1",
            "{",
            "{} {}",
            "{\"status\":\"block\",\"status\":\"clear\"}",
            "{\"result\":{\"ResultCode\":\"0821\",\"ResultCode\":\"0820\"}}",
            "{\"a\":[{\"b\":1,\"\\u0062\":2}]}",
        ] {
            assert_eq!(object(bad.as_bytes()), None, "{bad}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        assert_eq!(object(deep.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn ok_objects_are_read_as_the_library_reads_them(names in prop::collection::btree_set("[a-e]{1,3}", 0..6), n: i64, x in -1e9_f64..1e9) {
            let mut map = Map::new();
            for (index, name) in names.into_iter().enumerate() {
                let values = [Value::from(n), x.into(), true.into(), Value::Null, "t\"é".into(), serde_json::json!([{"a": [1, {}]}])];
                map.insert(name, values[index % values.len()].clone());
            }
            let text = Value::Object(map.clone()).to_string();
            prop_assert_eq!(object(text.as_bytes()), serde_json::from_str(&text).ok());
        }
    }
}
