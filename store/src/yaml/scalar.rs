//! What a scalar's text means in the core schema (YAML 1.2 §10.3.2).

use serde_json::Number;

/// A scalar's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    /// A float that JSON cannot hold.
    NotFinite,
    Text,
}

/// The value of a scalar that is neither quoted nor tagged.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        _ => integer(text)
            .or_else(|| float(text))
            .unwrap_or(Scalar::Text),
    }
}

fn integer(text: &str) -> Option<Scalar> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !is_digits(digits) {
        return None;
    }
    let number = match text.strip_prefix('+').unwrap_or(text).parse::<i64>() {
        Ok(number) => number.into(),
        // Past 64 bits it is the nearest float, as in JSON.
        Err(_) => match digits.parse::<u64>() {
            Ok(number) if !text.starts_with('-') => number.into(),
            Ok(_) | Err(_) => return finite(text),
        },
    };
    Some(Scalar::Number(number))
}

fn radix(digits: &str, radix: u32) -> Option<Scalar> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(match u64::from_str_radix(digits, radix) {
        Ok(number) => Scalar::Number(number.into()),
        Err(_) => Scalar::NotFinite,
    })
}

fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Scalar::NotFinite);
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let is_mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => is_digits(fraction),
        Some((whole, fraction)) => is_digits(whole) && (fraction.is_empty() || is_digits(fraction)),
        None => is_digits(mantissa),
    };
    let is_exponent =
        exponent.is_none_or(|digits| is_digits(digits.strip_prefix(['+', '-']).unwrap_or(digits)));
    if is_mantissa && is_exponent {
        finite(text)
    } else {
        None
    }
}

fn finite(text: &str) -> Option<Scalar> {
    let number = text.parse::<f64>().ok()?;
    Some(Number::from_f64(number).map_or(Scalar::NotFinite, Scalar::Number))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_yaml_1_1_are_text() {
        for text in [
            "yes", "no", "on", "off", "y", "1_000", "12:30:45", "0b1", "tRue", "nil",
        ] {
            assert_eq!(resolve(text), Scalar::Text, "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_core_schema() {
        let cases: [(&str, Number); 8] = [
            ("0", 0.into()),
            ("-17", (-17).into()),
            ("+4200000000", 4_200_000_000_u64.into()),
            ("0777", 777.into()),
            ("0o17", 15.into()),
            ("0xff", 255.into()),
            ("18446744073709551615", u64::MAX.into()),
            ("-.5e+3", Number::from_f64(-500.0).unwrap()),
        ];
        for (text, number) in cases {
            assert_eq!(resolve(text), Scalar::Number(number), "{text}");
        }
        for text in [
            ".", "-", "+", "1e", "1e+", "0x", "0xg", "0o8", "1.2.3", "10.0.0.1", "e5",
        ] {
            assert_eq!(resolve(text), Scalar::Text, "{text}");
        }
        for text in [".inf", "-.INF", ".nan", "1e999", "0xfffffffffffffffff"] {
            assert_eq!(resolve(text), Scalar::NotFinite, "{text}");
        }
    }
}
