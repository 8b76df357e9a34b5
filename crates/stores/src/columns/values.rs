//! The values of columns, as rules see them.

use serde_json::{Number, Value};
use session::UnixTime;

use super::super::time::{self, Zone};

/// A point in time as rules see it: milliseconds since 1970. A time beyond the largest signed integer becomes that
/// integer, so that both integer types of JSON numbers hold it.
pub(in super::super) fn millis(time: UnixTime) -> Value {
    Value::from(i64::try_from(time.millis()).unwrap_or(i64::MAX))
}

/// Reads a point in time from a text. Any other text stays a text, which no rule takes for a time.
pub(in super::super) fn time_of_text(text: String, zone: Option<&Zone>) -> Value {
    const DATE: usize = "2030-03-17".len();
    let time = match text.len() {
        DATE => time::of_text(&format!("{text}T00:00:00"), zone),
        _ => time::of_text(&text, zone),
    };
    time.map_or(Value::String(text), millis)
}

/// A binary floating-point number as JSON. A value that JSON has no number for becomes a string.
pub(in super::super) fn float(value: f64) -> Value {
    // Every integer up to here has an exact representation.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or_else(
        || {
            let name = match value {
                value if value.is_nan() => "NaN",
                value if value > 0.0 => "Infinity",
                _ => "-Infinity",
            };
            Value::from(name)
        },
        Value::Number,
    )
}

/// A decimal number, as a database prints it, as JSON. A number that would have to be rounded stays a string.
pub(in super::super) fn decimal(text: String) -> Value {
    let shortest = match text.split_once('.') {
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            match fraction {
                "" => whole.to_owned(),
                _ => format!("{whole}.{fraction}"),
            }
        }
        None => text.clone(),
    };
    if let Ok(number) = shortest.parse::<i64>() {
        return Value::from(number);
    }
    if let Ok(number) = shortest.parse::<u64>() {
        return Value::from(number);
    }
    let exact = shortest
        .parse::<f64>()
        .ok()
        .filter(|number| number.to_string() == shortest)
        .and_then(Number::from_f64);
    exact.map_or(Value::String(text), Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_a_number_unless_it_would_be_rounded() {
        for (text, value) in [
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("9007199254740993", json!(9_007_199_254_740_993_i64)),
            (
                "18446744073709551615",
                json!(18_446_744_073_709_551_615_u64),
            ),
            ("18446744073709551616", json!("18446744073709551616")),
            ("8.50", json!(8.5)),
            ("100000.00", json!(100_000)),
            ("0.1", json!(0.1)),
            ("0.10000000000000000001", json!("0.10000000000000000001")),
            ("NaN", json!("NaN")),
            ("Infinity", json!("Infinity")),
        ] {
            assert_eq!(decimal(text.to_owned()), value, "{text}");
        }
        assert_eq!(float(5.0), json!(5));
        assert_eq!(float(0.5), json!(0.5));
        assert_eq!(float(1e300), json!(1e300));
        assert_eq!(float(f64::INFINITY), json!("Infinity"));
    }
}
