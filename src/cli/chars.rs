//! Characters and NULL tokens on the command line, as Sqoop 1.4.7 reads them
//! (`SqoopOptions.toChar`; NULL tokens are pasted into Java source there).
//!
//! Which characters may go together is `TextFormat::validate`'s business.

use rsqoop_connector::{Error, ErrorKind, Result};

/// A delimiter as the user gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// `None` is NUL: it switches enclosing or escaping off, and as a field or record delimiter
    /// it is the character `\0` itself.
    pub(crate) ch: Option<char>,
    /// What the user should hear about.
    pub(crate) warning: Option<String>,
}

/// Reads the character given to `flag`: a character, one of `\b \n \r \t \" \' \\`, a single
/// backslash, `\0` for NUL, `\0ooo` octal or `\0xhh` hexadecimal.
///
/// # Errors
/// `Usage`, naming the flag, for anything else. A longer text that starts with another character
/// than a backslash is not an error: Sqoop takes its first character and warns.
pub(crate) fn delimiter(flag: &str, text: &str) -> Result<Parsed> {
    let bad = |problem: String| {
        Error::new(ErrorKind::Usage, format!("{flag} {problem}")).hint(
            r#"give one character, one of \b \n \r \t \" \' \\, \0 for none, \0ooo (octal) or \0xhh (hexadecimal)"#,
        )
    };
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return Err(bad("needs a character, but its value is empty".to_string()));
    };
    let after = chars.as_str();
    let exact = |ch: char| Ok(Parsed { ch: (ch != '\0').then_some(ch), warning: None });
    let numbered = |digits: &str, radix: u32| match number(digits, radix) {
        Some(ch) => exact(ch),
        None => Err(bad(format!(
            "{text:?} is not a character: {digits:?} is not the {} number of one of at most 16 bits",
            if radix == 8 { "octal" } else { "hexadecimal" }
        ))),
    };
    if first != '\\' {
        if u32::from(first) > 0xFFFF {
            return Err(bad(format!(
                "cannot be {first:?}: delimiters are characters of the Basic Multilingual Plane"
            )));
        }
        let warning = (!after.is_empty()).then(|| {
            format!("{flag} {text:?} has several characters; only the first, {first:?}, is used")
        });
        return Ok(Parsed { ch: (first != '\0').then_some(first), warning });
    }
    if let Some(hex) = after.strip_prefix("0x").or_else(|| after.strip_prefix("0X")) {
        return numbered(hex, 16);
    }
    if let Some(octal) = after.strip_prefix('0') {
        return if octal.is_empty() { exact('\0') } else { numbered(octal, 8) };
    }
    match after {
        "" | "\\" => exact('\\'),
        "b" => exact('\u{8}'),
        "n" => exact('\n'),
        "r" => exact('\r'),
        "t" => exact('\t'),
        "\"" => exact('"'),
        "'" => exact('\''),
        _ => Err(bad(format!("does not know the escape sequence {text:?}"))),
    }
}

/// A UTF-16 unit by number; `None` for surrogates, which are half a character.
fn number(digits: &str, radix: u32) -> Option<char> {
    // `from_str_radix` would take a sign.
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok().filter(|unit| *unit <= 0xFFFF).and_then(char::from_u32)
}

/// Reads a NULL token. Sqoop pastes it into Java source, so scripts write it with Java's escape
/// sequences: `\\N` means `\N`. A plain `\N`, which does not compile there, means itself, and so
/// do the four backslashes that Sqoop's direct PostgreSQL import needs.
///
/// # Errors
/// `Usage` for an escape sequence that Java does not know.
pub(crate) fn null_token(text: &str) -> Result<String> {
    if text == r"\\\\N" {
        return Ok(r"\N".to_string());
    }
    let mut token = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        token.push_str(before);
        rest = escape_sequence(after, &mut token).ok_or_else(|| {
            let shown: String = after.chars().take(6).collect();
            Error::new(
                ErrorKind::Usage,
                format!(
                    "--null-string or --null-non-string does not know the escape sequence \\{shown}"
                ),
            )
            .hint(r"a backslash is written \\; \n, \t, octal \134 and \u005C work as in Java")
        })?;
    }
    token.push_str(rest);
    Ok(token)
}

/// Appends what the escape sequence after a backslash stands for and gives back the text after it
/// (Java Language Specification 3.3 and 3.10.7).
fn escape_sequence<'a>(text: &'a str, token: &mut String) -> Option<&'a str> {
    let first = text.chars().next()?;
    let simple = match first {
        '\\' | '"' | '\'' => first,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'N' => {
            token.push_str(r"\N");
            return Some(&text[1..]);
        }
        '0'..='7' => return octal(text, token),
        'u' => return unicode(text, token),
        _ => return None,
    };
    token.push(simple);
    Some(&text[1..])
}

/// One to three octal digits up to 377.
fn octal<'a>(text: &'a str, token: &mut String) -> Option<&'a str> {
    let longest = if text.starts_with(['0', '1', '2', '3']) { 3 } else { 2 };
    let digits = text.bytes().take(longest).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let (digits, rest) = text.split_at(digits);
    token.push(number(digits, 8)?);
    Some(rest)
}

/// `uXXXX`, also with several `u`; two of them when they are a surrogate pair.
fn unicode<'a>(text: &'a str, token: &mut String) -> Option<&'a str> {
    let (first, rest) = unit(text)?;
    if !(0xD800..=0xDBFF).contains(&first) {
        token.push(char::from_u32(u32::from(first))?);
        return Some(rest);
    }
    let (second, rest) = unit(rest.strip_prefix('\\')?)?;
    token.push(char::decode_utf16([first, second]).next()?.ok()?);
    Some(rest)
}

fn unit(text: &str) -> Option<(u16, &str)> {
    let digits = text.strip_prefix('u')?.trim_start_matches('u');
    let (digits, rest) = digits.split_at_checked(4)?;
    let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all_hex.then(|| u16::from_str_radix(digits, 16).ok())?.map(|unit| (unit, rest))
}

#[cfg(test)]
#[path = "chars_tests.rs"]
mod tests;
