//! Text of a service as a number.

use super::reason;

/// The finite number a text holds.
///
/// # Errors
/// What the text is instead.
pub(super) fn parse(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(value) if value.is_nan() => Err("NaN is not a value".to_owned()),
        Ok(_) => Err("infinity is not a value".to_owned()),
        Err(_) if text.trim().is_empty() => Err("an empty text is not a number".to_owned()),
        Err(_) => Err(format!("'{}' is not a number", reason::short(text.trim()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_as_services_write_them() {
        for (text, value) in [("0", 0.0), (" 17\n", 17.0), (".0133", 0.0133), ("1.5e3", 1_500.0), ("-2", -2.0)] {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_named() {
        let error = |text| parse(text).unwrap_err();
        assert_eq!(error("nan"), "NaN is not a value");
        assert_eq!(error("-inf"), "infinity is not a value");
        assert_eq!(error("1e999"), "infinity is not a value");
        assert_eq!(error("  "), "an empty text is not a number");
        assert_eq!(error("ON"), "'ON' is not a number");
        assert_eq!(error("1,5"), "'1,5' is not a number");
    }

    proptest! {
        #[test]
        fn a_value_is_always_finite(text in "\\PC*") {
            if let Ok(value) = parse(&text) {
                prop_assert!(value.is_finite());
            }
        }
    }
}
