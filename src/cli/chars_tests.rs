//! Sqoop 1.4.7's table of character arguments, row by row.

use super::*;

fn ch(text: &str) -> Option<char> {
    let parsed = delimiter("--fields-terminated-by", text).unwrap();
    assert_eq!(parsed.warning, None, "{text}");
    parsed.ch
}

#[test]
fn one_character_means_itself() {
    for (text, expected) in [(",", ','), ("\t", '\t'), ("\n", '\n'), ("§", '§'), ("0", '0')] {
        assert_eq!(ch(text), Some(expected));
    }
    assert_eq!(ch("\0"), None);
}

#[test]
fn escape_sequences() {
    for (text, expected) in [
        (r"\b", '\u{8}'),
        (r"\n", '\n'),
        (r"\r", '\r'),
        (r"\t", '\t'),
        (r#"\""#, '"'),
        (r"\'", '\''),
        (r"\\", '\\'),
        (r"\", '\\'),
    ] {
        assert_eq!(ch(text), Some(expected), "{text}");
    }
}

#[test]
fn numbers() {
    for (text, expected) in [
        (r"\001", '\u{1}'),
        (r"\01", '\u{1}'),
        (r"\054", ','),
        (r"\0377", '\u{ff}'),
        (r"\0x7c", '|'),
        (r"\0X7C", '|'),
        (r"\0xA7", '§'),
        (r"\0x20AC", '€'),
        (r"\0x1", '\u{1}'),
    ] {
        assert_eq!(ch(text), Some(expected), "{text}");
    }
    for nul in [r"\0", r"\00", r"\0000", r"\0x0"] {
        assert_eq!(ch(nul), None, "{nul}");
    }
}

#[test]
fn a_longer_text_is_its_first_character_with_a_warning() {
    for (text, expected) in [("||", '|'), ("ab", 'a'), ("§§", '§'), ("01", '0'), ("tab", 't')] {
        let parsed = delimiter("--escaped-by", text).unwrap();
        assert_eq!(parsed.ch, Some(expected));
        assert!(parsed.warning.unwrap().contains("--escaped-by"), "{text}");
    }
}

#[test]
fn what_sqoop_refuses() {
    for text in [
        "",
        r"\Q",
        r"\nn",
        r"\u0001",
        r"\x01",
        r"\1",
        r"\\\\",
        r"\095",
        r"\08",
        r"\0x",
        r"\0X",
        r"\0x9K5",
        r"\0x-1",
        r"\0+7",
        r"\0x10000",
        r"\0777777777777",
        r"\0xD800",
        "😀",
        r"\é",
    ] {
        let error = delimiter("--enclosed-by", text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("--enclosed-by"), "{text}: {error}");
        assert!(error.hint_text().is_some());
    }
}

#[test]
fn null_tokens() {
    for (text, expected) in [
        ("null", "null"),
        ("", ""),
        (r"\N", r"\N"),
        (r"\\N", r"\N"),
        (r"\\\\N", r"\N"),
        (r"\\\\", r"\\"),
        (r"\\\\NULL", r"\\NULL"),
        (r"\NULL", r"\NULL"),
        (r"a\nb\tc\rd", "a\nb\tc\rd"),
        (r#"\"\'"#, "\"'"),
        ("\"\"", "\"\""),
        (r"\0", "\0"),
        (r"\1", "\u{1}"),
        (r"\001x", "\u{1}x"),
        (r"\134N", r"\N"),
        (r"\477", "'7"),
        (r"\777", "?7"),
        (r"\u0041B", "AB"),
        (r"\uuu00e9", "é"),
        (r"\ud83d\ude00", "😀"),
        ("€\\t€", "€\t€"),
    ] {
        assert_eq!(null_token(text).unwrap(), expected, "{text}");
    }
    for text in
        [r"\", r"a\", r"\q", r"\8", r"\u12", r"\u12g4", r"\ud83d", r"\ude00", r"\u+123", r"\é"]
    {
        let error = null_token(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("--null-string"));
    }
}
